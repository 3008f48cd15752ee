//! Stands between every client and the MQTT library: lets in, and checks each publish, subscription and will
//! against the protocol's table. Decisions are made in [`identity`](crate::identity) and
//! [`heron_protocol::acl`]; this file only asks for them and translates the answers.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use heron_protocol::acl::{self, Client};
use heron_protocol::{BrowserId, DeviceId, Topic};
use parking_lot::Mutex;
use rmqtt::codec::v5::{PublishAckReason, SubscribeAckReason};
use rmqtt::hook::{Handler, HookManager, HookResult, Parameter, ReturnType, Type};
use rmqtt::session::Session;
use rmqtt::types::{
    AuthResult, ConnectInfo, Id, LastWill, Publish, PublishAclResult, PublishResult, Reason,
    Retain, Subscribe, SubscribeAclResult,
};

use crate::admissions::Admissions;
use crate::eviction::{self, PutOut};
use crate::gate::DeviceGate;
use crate::identity::{Claim, Claimed, Door};
use crate::rate::Rates;
use crate::refusals::{Attempt, Refusals};
use crate::retained::Retained;
use crate::token::TokenVerifier;

/// What the guard decides from. Shared with the broker, which shows the counters and ends the admissions.
pub(crate) struct Guard {
    pub(crate) gate: Arc<dyn DeviceGate>,
    pub(crate) tokens: Arc<dyn TokenVerifier>,
    /// How long the gate or the tokens' verifier may take.
    pub(crate) check_time: Duration,
    pub(crate) put_out: PutOut,
    pub(crate) admissions: Mutex<Admissions>,
    pub(crate) retained: Arc<Mutex<Retained<Retain>>>,
    pub(crate) rates: Mutex<Rates>,
    pub(crate) refusals: Refusals,
    /// Messages that a full queue pushed out.
    pub(crate) overflows: AtomicU64,
}

/// Why a client is not let in: the answer for it, and the reason for the log.
struct NotLetIn {
    answer: AuthResult,
    reason: String,
}

impl NotLetIn {
    fn not_authorized(reason: impl fmt::Display) -> Self {
        Self {
            answer: AuthResult::NotAuthorized,
            reason: reason.to_string(),
        }
    }

    fn bad_token(reason: impl fmt::Display) -> Self {
        Self {
            answer: AuthResult::BadUsernameOrPassword,
            reason: format!("token: {reason}"),
        }
    }
}

impl Guard {
    /// Puts the guard in front of the library. Without it the library allows everything, so this comes before the
    /// first connection.
    pub(crate) async fn register(self: &Arc<Self>, hooks: &dyn HookManager) {
        let register = hooks.register();
        for event in [
            Type::ClientAuthenticate,
            Type::ClientConnected,
            Type::MessagePublish,
            Type::MessagePublishCheckAcl,
            Type::ClientSubscribeCheckAcl,
            Type::MessageDropped,
        ] {
            register.add(event, Box::new(Hook(self.clone()))).await;
        }
        register.start().await;
    }

    async fn authenticate(&self, info: &ConnectInfo) -> AuthResult {
        let client_id = info.client_id();
        let client = match self.let_in(info).await {
            Ok(client) => client,
            Err(refused) => {
                self.refusals
                    .note(client_id, Attempt::Connect, "", &refused.reason);
                return refused.answer;
            }
        };
        if let Some(will) = info.last_will()
            && let Err(reason) = check_will(&client, &will)
        {
            self.refusals
                .note(client_id, Attempt::Will, will_topic(&will), &reason);
            return AuthResult::NotAuthorized;
        }
        tracing::debug!(%client, "connects");
        AuthResult::Allow(false, None)
    }

    async fn let_in(&self, info: &ConnectInfo) -> Result<Client, NotLetIn> {
        let door = Door::from_listener_id(info.id().lid)
            .ok_or_else(|| NotLetIn::not_authorized("not one of the broker's listeners"))?;
        let claim = Claim {
            door,
            protocol_level: info.proto_ver(),
            client_id: info.client_id(),
            common_name: info.cert().and_then(|cert| cert.common_name.as_deref()),
            username: info.username().map(|name| &**name),
        };
        match claim.check().map_err(NotLetIn::not_authorized)? {
            Claimed::Device(device) => {
                self.ask_gate(&device, info)
                    .await
                    .map_err(NotLetIn::not_authorized)?;
                Ok(Client::Device(device))
            }
            Claimed::Control => Ok(Client::Control),
            Claimed::Browser(browser) => {
                let token = info.password().map_or(&[][..], |password| password);
                self.admit(browser, token)
                    .await
                    .map_err(NotLetIn::bad_token)
            }
        }
    }

    async fn ask_gate(&self, device: &DeviceId, info: &ConnectInfo) -> Result<(), String> {
        let serial = info
            .cert()
            .and_then(|cert| cert.serial.as_deref())
            .ok_or("the client certificate has no serial number")?;
        tokio::time::timeout(self.check_time, self.gate.admit(device, serial))
            .await
            .map_err(|_| "took too long to check")?
            .map_err(|refused| refused.to_string())
    }

    /// A camera that was put out between being let in and having a session is put out again, unless it was let in
    /// anew since.
    async fn connected(&self, session: &Session) {
        let Some(Client::Device(device)) = self.client(&session.id) else {
            return;
        };
        if !self.put_out.lately(&device) {
            return;
        }
        let Ok(info) = session.connect_info().await else {
            return;
        };
        if let Err(reason) = self.ask_gate(&device, &info).await {
            self.refusals
                .note(device.as_str(), Attempt::Connect, "", &reason);
            let entry = session.scx.extends.shared().await.entry(session.id.clone());
            eviction::close(session, entry.tx().as_ref()).await;
        }
    }

    async fn admit(&self, browser: BrowserId, token: &[u8]) -> Result<Client, String> {
        let token = std::str::from_utf8(token).map_err(|_| "not text")?;
        let access = tokio::time::timeout(self.check_time, self.tokens.verify(token))
            .await
            .map_err(|_| "took too long to check")?
            .map_err(|refused| refused.to_string())?;
        if access.browser != browser {
            return Err("made for another browser".into());
        }
        // What is left of the token is counted on the monotonic clock: setting the wall clock later does not matter.
        let left = access
            .expires
            .duration_since(SystemTime::now())
            .map_err(|_| "expired")?;
        let now = Instant::now();
        self.admissions
            .lock()
            .admit(browser.clone(), access.tenant.clone(), now + left, now)
            .map_err(|taken| taken.to_string())?;
        Ok(Client::Browser {
            tenant: access.tenant,
            browser,
        })
    }

    /// Who the session belongs to. `None` for a browser whose token has ended: it may do nothing any more.
    fn client(&self, id: &Id) -> Option<Client> {
        match Door::from_listener_id(id.lid)? {
            Door::Devices => id.client_id.parse().ok().map(Client::Device),
            Door::Control => Some(Client::Control),
            Door::Browsers => {
                let browser = id.client_id.parse().ok()?;
                let tenant = self
                    .admissions
                    .lock()
                    .tenant(&browser, Instant::now())?
                    .clone();
                Some(Client::Browser { tenant, browser })
            }
        }
    }

    fn check_publish(&self, id: &Id, publish: &Publish) -> PublishAclResult {
        let Some(client) = self.client(id) else {
            return self.refuse_publish(
                id,
                publish,
                Attempt::Publish,
                PublishAckReason::NotAuthorized,
                &"not admitted",
            );
        };
        if let Client::Device(device) = &client
            && !self.rates.lock().take(device, Instant::now())
        {
            return self.refuse_publish(
                id,
                publish,
                Attempt::Publish,
                PublishAckReason::QuotaExceeded,
                &"more messages than a camera may send",
            );
        }
        let row = match acl::may_publish(&client, &publish.topic, publish.retain) {
            Ok(row) => row,
            Err(denied) => {
                return self.refuse_publish(
                    id,
                    publish,
                    Attempt::Publish,
                    PublishAckReason::NotAuthorized,
                    &denied,
                );
            }
        };
        if publish.payload.len() > row.max_bytes {
            let reason = format!("at most {} bytes are allowed here", row.max_bytes);
            return self.refuse_publish(
                id,
                publish,
                Attempt::Publish,
                PublishAckReason::QuotaExceeded,
                &reason,
            );
        }
        if publish.retain && !publish.payload.is_empty() {
            let room = self
                .retained
                .lock()
                .room(&publish.topic, publish.payload.len());
            if let Err(full) = room {
                return self.refuse_publish(
                    id,
                    publish,
                    Attempt::Retain,
                    PublishAckReason::QuotaExceeded,
                    &full,
                );
            }
        }
        PublishAclResult::allow()
    }

    fn refuse_publish(
        &self,
        id: &Id,
        publish: &Publish,
        attempt: Attempt,
        code: PublishAckReason,
        reason: &dyn fmt::Display,
    ) -> PublishAclResult {
        self.refusals
            .note(&id.client_id, attempt, &publish.topic, reason);
        // The connection stays: one wrong topic in a camera's software must not take its other topics away.
        PublishAclResult(PublishResult::reason_code(
            code,
            Some(reason.to_string().into()),
            false,
        ))
    }

    fn check_subscribe(&self, id: &Id, subscribe: &Subscribe) -> SubscribeAclResult {
        let filter = &subscribe.topic_filter;
        let denied: &dyn fmt::Display = match self
            .client(id)
            .map(|client| acl::may_subscribe(&client, filter))
        {
            Some(Ok(())) => return SubscribeAclResult::new_success(subscribe.opts.qos(), None),
            Some(Err(denied)) => &denied.to_string(),
            None => &"not admitted",
        };
        self.refusals
            .note(&id.client_id, Attempt::Subscribe, filter, denied);
        SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
    }
}

/// A will is published when its owner can no longer be asked, so it is checked when it is left.
fn check_will(client: &Client, will: &LastWill<'_>) -> Result<(), String> {
    let row = acl::may_will(client, will_topic(will), will.retain())
        .map_err(|denied| denied.to_string())?;
    let bytes = match will {
        LastWill::V3(will) => will.message.len(),
        LastWill::V5(will) => will.message.len(),
    };
    if bytes > row.max_bytes {
        return Err(format!("at most {} bytes are allowed here", row.max_bytes));
    }
    Ok(())
}

fn will_topic<'a>(will: &LastWill<'a>) -> &'a str {
    match will {
        LastWill::V3(will) => &will.topic,
        LastWill::V5(will) => &will.topic,
    }
}

/// The message with the expiry that the table gives its topic, if the sender asked for a longer one or for none: what
/// waits for a camera that is away must not reach it when it is long out of date.
fn with_table_expiry(publish: &Publish) -> Option<Publish> {
    let topic: Topic = publish.topic.parse().ok()?;
    let limit = NonZeroU32::new(topic.row().expiry_s?)?;
    let asked = publish
        .properties
        .as_ref()
        .and_then(|properties| properties.message_expiry_interval);
    if asked.is_some_and(|asked| asked <= limit) {
        return None;
    }
    let mut limited = publish.clone();
    limited
        .properties
        .get_or_insert_default()
        .message_expiry_interval = Some(limit);
    Some(limited)
}

/// The guard as the library calls it.
struct Hook(Arc<Guard>);

#[async_trait]
#[allow(
    elided_lifetimes_in_paths,
    reason = "async_trait must repeat the library's signature as it is"
)]
impl Handler for Hook {
    async fn hook(&self, event: &Parameter, before: Option<HookResult>) -> ReturnType {
        let result = match event {
            Parameter::ClientAuthenticate(info) => {
                Some(HookResult::AuthResult(self.0.authenticate(info).await))
            }
            Parameter::ClientConnected(session) => {
                self.0.connected(session).await;
                before
            }
            Parameter::MessagePublish(_, _, publish) => {
                with_table_expiry(publish).map(HookResult::Publish)
            }
            Parameter::MessagePublishCheckAcl(session, publish) => Some(
                HookResult::PublishAclResult(self.0.check_publish(&session.id, publish)),
            ),
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => Some(
                HookResult::SubscribeAclResult(self.0.check_subscribe(&session.id, subscribe)),
            ),
            Parameter::MessageDropped(_, _, _, Reason::MessageQueueFull) => {
                self.0.overflows.fetch_add(1, Ordering::Relaxed);
                before
            }
            _ => before,
        };
        (true, result)
    }
}
