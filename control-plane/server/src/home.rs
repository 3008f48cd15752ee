//! The data directory, opened: identity and store. The server and the command line work on it, also at the same time.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use heron_protocol::TenantId;

use crate::access::{PasswordHash, Person, Role, check_password};
use crate::clock::unix_ms;
use crate::config::Config;
use crate::identity::{ClaimServer, Enrolment, Identity, Keep, check_person_name, row_of};
use crate::store::{Account, AuditEntry, Store, StoreError};

/// The SQLite database; SQLite puts its journal beside it.
pub(crate) const DATABASE: &str = "heron.db";

/// One control plane serves one organisation for now; the store and the topics already tell them apart.
const TENANT: &str = "home";

/// Opens the database that the configuration names, or the file in the data directory.
pub(crate) async fn open_store(config: &Config, keep: &Keep) -> anyhow::Result<Store> {
    match &config.store.url {
        Some(url) => {
            let opened = Store::connect(url).await;
            opened.with_context(|| format!("store.url: {url}"))
        }
        None => {
            // SQLite gives its journal files the rights of the database.
            keep.private_file(DATABASE)?;
            let database = keep.path(DATABASE);
            let opened = Store::open(&database).await;
            opened.with_context(|| database.display().to_string())
        }
    }
}

/// What the control plane is and knows.
pub struct Home {
    /// Keys and certificates.
    pub identity: Identity,
    /// People, cameras, sessions.
    pub store: Store,
    /// The organisation.
    pub tenant: TenantId,
}

impl Home {
    /// Opens the data directory that the configuration names; makes it, the CAs and the tables if need be.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let identity = Identity::open(&config.server.data_dir, SystemTime::now())?;
        let store = open_store(config, &identity.keep).await?;
        for (camera, pem, issued_ms) in store.certificates.unread().await? {
            let certificate = row_of(&camera, &pem, issued_ms)?;
            store.certificates.adopt(&certificate).await?;
        }
        Ok(Self {
            identity,
            store,
            tenant: TENANT.parse()?,
        })
    }

    /// Makes identities for cameras that will find the broker at `broker` (host and port).
    pub fn enrolment(&self, broker: String, server: ClaimServer) -> Enrolment {
        Enrolment {
            store: self.store.clone(),
            tenant: self.tenant.clone(),
            server,
            devices: Arc::clone(&self.identity.devices),
            broker_ca: self.identity.root.certificate_pem().to_owned(),
            broker,
            grant_public_key: self.identity.grant_public_key.clone(),
        }
    }

    /// Where claim files send cameras: to HTTPS at `host` (with its port). `own`: its certificate is of our own CA.
    pub fn claim_server(&self, host: &str, own: bool) -> ClaimServer {
        ClaimServer {
            url: format!("https://{host}"),
            ca: own.then(|| self.identity.root.certificate_pem().to_owned()),
        }
    }

    /// Writes down what was changed on this machine, past the API.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn audit(
        &self,
        action: &str,
        subject: &str,
        after: serde_json::Value,
    ) -> Result<(), StoreError> {
        let user = rustix::process::getuid().as_raw();
        let entry = AuditEntry {
            at_ms: unix_ms(SystemTime::now()),
            tenant: self.tenant.clone(),
            actor: format!("uid {user}"),
            actor_name: "heron-control".to_owned(),
            address: "this machine".to_owned(),
            action: action.to_owned(),
            subject: Some(subject.to_owned()),
            before: None,
            after: Some(after.to_string()),
        };
        self.store.audit.append(&entry).await
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// One line: the name is taken or not allowed, or the password is.
    pub async fn add_person(
        &self,
        name: &str,
        password: &str,
        role: Role,
    ) -> anyhow::Result<Person> {
        let name = check_person_name(name)?;
        check_password(password)?;
        let id = format!("{:016x}", rand::random::<u64>());
        let added_ms = unix_ms(SystemTime::now());
        let person = Person {
            id,
            tenant: self.tenant.clone(),
            name: name.to_owned(),
            role,
            added_ms,
        };
        let password_hash = PasswordHash::of(password)
            .map_err(|error| anyhow::anyhow!("cannot hash the password: {error}"))?;
        self.store
            .people
            .add(&Account {
                person: person.clone(),
                password_hash,
            })
            .await?;
        Ok(person)
    }
}
