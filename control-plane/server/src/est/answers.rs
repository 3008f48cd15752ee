//! What EST answers with: certificates, attributes, or one line of why not.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos};
use der::asn1::SetOfVec;
use der::oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use der::{Any, DecodePem as _, Encode as _};
use x509_cert::Certificate;

use crate::identity::{BadRequest, EnrolError, NotAdmitted};
use crate::store::StoreError;

/// Deprecated by RFC 8951, which has receivers ignore it; clients of RFC 7030 alone want it.
const TRANSFER_ENCODING: (&str, &str) = ("content-transfer-encoding", "base64");
/// Characters a line, as in MIME (RFC 2045 section 6.8).
const LINE: usize = 76;

/// CsrAttrs (RFC 8951 section 3.2): ecPublicKey with prime256v1, and ecdsa-with-SHA256.
const ATTRIBUTES: [u8; 35] = [
    0x30, 0x21, // SEQUENCE OF AttrOrOID
    0x30, 0x15, // Attribute
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // ecPublicKey
    0x31, 0x0a, // SET OF its values
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, // ecdsa-with-SHA256
];

/// Why EST said no.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    pub(super) fn who_are_you() -> Self {
        let reason = "simpleenroll wants HTTP Basic: claim and its secret, pair and a code, or factory and a serial number";
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let cause = cause.into();
        tracing::error!(cause = format!("{cause:#}"), "enrolment failed");
        let reason = "the control plane could not do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.reason)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = header::HeaderValue::from_static("Basic realm=\"heron enrolment\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("60"));
        }
        response
    }
}

impl From<BadRequest> for Refusal {
    fn from(bad: BadRequest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, bad.to_string())
    }
}

impl From<EnrolError> for Refusal {
    fn from(error: EnrolError) -> Self {
        let status = match &error {
            EnrolError::ClaimCut(_) | EnrolError::ClaimUnknown => StatusCode::UNAUTHORIZED,
            EnrolError::Code(_) | EnrolError::OtherName(_) | EnrolError::SameKey => {
                StatusCode::BAD_REQUEST
            }
            EnrolError::ClaimExpired
            | EnrolError::ClaimSpent
            | EnrolError::PairingRefused
            | EnrolError::NotListed
            | EnrolError::KeptOut(_) => StatusCode::FORBIDDEN,
            EnrolError::CodeTaken
            | EnrolError::IdTaken(_)
            | EnrolError::Store(StoreError::NameTaken { .. }) => StatusCode::CONFLICT,
            EnrolError::PairingExpired => StatusCode::GONE,
            EnrolError::PairingBusy | EnrolError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            EnrolError::Identity(_)
            | EnrolError::Store(_)
            | EnrolError::Id(_)
            | EnrolError::Bundle(_) => return Self::internal(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(refused: NotAdmitted) -> Self {
        EnrolError::from(refused).into()
    }
}

/// Certificates (PEM) as `application/pkcs7-mime`.
pub(super) fn certificates(pems: &[&str]) -> Result<Response, Refusal> {
    let der = certs_only(pems).map_err(Refusal::internal)?;
    let kind = (
        header::CONTENT_TYPE.as_str(),
        "application/pkcs7-mime; smime-type=certs-only",
    );
    Ok(([kind, TRANSFER_ENCODING], lines(&der)).into_response())
}

/// What a certificate request should hold.
pub(super) fn attributes() -> Response {
    let kind = (header::CONTENT_TYPE.as_str(), "application/csrattrs");
    ([kind, TRANSFER_ENCODING], lines(&ATTRIBUTES)).into_response()
}

/// Certificates and nothing else as PKCS#7 in DER: signed data without a signer (RFC 5272 section 4.1).
///
/// # Errors
///
/// When one of them is none.
pub fn certs_only(pems: &[&str]) -> Result<Vec<u8>, der::Error> {
    let mut certificates = SetOfVec::new();
    for pem in pems {
        let certificate = Certificate::from_pem(pem)?;
        certificates.insert(CertificateChoices::Certificate(certificate))?;
    }
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: ID_DATA,
            econtent: None,
        },
        certificates: Some(CertificateSet(certificates)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    ContentInfo {
        content_type: ID_SIGNED_DATA,
        content: Any::encode_from(&signed)?,
    }
    .to_der()
}

fn lines(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    for (position, letter) in text.chars().enumerate() {
        if position > 0 && position % LINE == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines.push('\n');
    lines
}
