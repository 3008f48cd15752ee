//! Signing in and out, and recognising who comes back.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderValue;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::{Arrival, PasswordHash, Person, SignedIn, Throttle, cookie};
use crate::clock::unix_ms;
use crate::store::{Store, StoreError};

/// How long one stays signed in.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Password checks at once: each takes a core and 19 MiB, and other people's video matters more.
const CHECKS_AT_ONCE: usize = 2;

/// Why somebody was not signed in.
#[derive(Debug, Error)]
pub enum SignInError {
    /// Which of the two is wrong is not told.
    #[error("there is no account with this name and password")]
    Wrong,
    /// Too much guessing.
    #[error("too many wrong passwords; try again in {retry_after_s} s")]
    Throttled {
        /// When to try again.
        retry_after_s: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hash could not be computed.
    #[error("the password could not be checked: {0}")]
    Hashing(String),
}

/// The door of the control plane.
pub struct Door {
    store: Store,
    throttle: Mutex<Throttle>,
    checks: Semaphore,
    /// Checked for names that do not exist, so that they take as long as those that do.
    nobody: Arc<PasswordHash>,
}

impl Door {
    /// A door for the people in `store`.
    ///
    /// # Errors
    ///
    /// [`SignInError::Hashing`] when this machine cannot hash passwords.
    pub fn new(store: Store) -> Result<Self, SignInError> {
        let nobody =
            PasswordHash::of("").map_err(|error| SignInError::Hashing(error.to_string()))?;
        let checks = Semaphore::new(CHECKS_AT_ONCE);
        Ok(Self {
            store,
            throttle: Mutex::new(Throttle::new()),
            checks,
            nobody: Arc::new(nobody),
        })
    }

    /// Checks name and password; returns the person and the `Set-Cookie` for their browser.
    ///
    /// # Errors
    ///
    /// [`SignInError`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: String,
        arrival: Arrival,
        now: SystemTime,
    ) -> Result<(Person, HeaderValue), SignInError> {
        self.throttle.lock().take(arrival.peer, name, Instant::now()).map_err(|wait| {
            tracing::warn!(peer = %arrival.peer, "sign-in throttled after too many wrong passwords");
            SignInError::Throttled { retry_after_s: wait.as_secs() + 1 }
        })?;
        let account = self.store.people.by_name(name).await?;
        let hash = account.as_ref().map_or_else(
            || Arc::clone(&self.nobody),
            |found| Arc::new(found.password_hash.clone()),
        );
        let fits = self.fits(hash, password).await?;
        let Some(account) = account.filter(|_| fits) else {
            tracing::info!(peer = %arrival.peer, "sign-in with a wrong name or password");
            return Err(SignInError::Wrong);
        };
        self.throttle.lock().give_back(arrival.peer, name);

        let token = cookie::fresh_token();
        let (began, expires) = (unix_ms(now), unix_ms(now + LIFE));
        self.store
            .sign_ins
            .add(&cookie::hash(&token), &account.person.id, began, expires)
            .await?;
        Ok((account.person, cookie::set(&token, LIFE, arrival)))
    }

    async fn fits(&self, hash: Arc<PasswordHash>, password: String) -> Result<bool, SignInError> {
        let hashing = |error: &dyn std::fmt::Display| SignInError::Hashing(error.to_string());
        let _turn = self
            .checks
            .acquire()
            .await
            .map_err(|error| hashing(&error))?;
        tokio::task::spawn_blocking(move || hash.fits(&password))
            .await
            .map_err(|error| hashing(&error))
    }

    /// Whom the cookie's token belongs to, if it has not expired.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn recognise(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<Option<SignedIn>, StoreError> {
        let token_hash = cookie::hash(token);
        let person = self
            .store
            .sign_ins
            .person(&token_hash, unix_ms(now))
            .await?;
        Ok(person.map(|person| SignedIn { person, token_hash }))
    }

    /// Forgets the token; returns the `Set-Cookie` that removes it from the browser.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn sign_out(
        &self,
        signed_in: &SignedIn,
        arrival: Arrival,
    ) -> Result<HeaderValue, StoreError> {
        self.store.sign_ins.remove(&signed_in.token_hash).await?;
        Ok(cookie::clear(arrival))
    }
}
