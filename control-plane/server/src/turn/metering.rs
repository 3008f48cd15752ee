//! Once a second: what relays took goes into the sessions' records, and who has used up a cap is ended.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use heron_protocol::messages::EndReason;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::meter::day_of;
use super::relays::{Metered, Relays};
use crate::clock::unix_ms;
use crate::signalling::Router;
use crate::store::{Store, StoreError};

const LOOK: Duration = Duration::from_secs(1);
/// How many looks there are between reading what changes seldom, and writing what need not be written at once.
const SELDOM: u32 = 5;

/// Reads policies, places of cameras and relayed time. Call once before the first session, and after a change.
///
/// # Errors
///
/// The store's.
pub async fn read_policies(relays: &Relays, store: &Store) -> Result<(), StoreError> {
    let all = store.relay_policies.all().await?;
    relays.set_policies(all.tenants, all.cameras);
    Ok(())
}

/// Reads what a former run had counted.
///
/// # Errors
///
/// The store's.
pub async fn read_days(relays: &Relays, store: &Store) -> Result<(), StoreError> {
    let now_s = unix_ms(SystemTime::now()).cast_unsigned() / 1000;
    let days = store.relay_policies.relayed_days(day_of(now_s)).await?;
    relays.load(days);
    Ok(())
}

/// Looks until the handle is aborted. The router is held weakly: whoever starts it also stops it.
pub fn follow(relays: Arc<Relays>, store: Store, router: Weak<Router>) -> AbortHandle {
    let following = tokio::spawn(async move {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut on_relayed_path = Vec::new();
        let mut looks = 0_u32;
        loop {
            ticks.tick().await;
            if looks.is_multiple_of(SELDOM) {
                match seldom(&relays, &store).await {
                    Ok(sessions) => on_relayed_path = sessions,
                    Err(error) => tracing::error!(%error, "relayed time could not be kept"),
                }
            }
            looks = looks.wrapping_add(1);
            let now = (Instant::now(), SystemTime::now());
            for metered in relays.look(&on_relayed_path, now) {
                if let Err(error) = act(metered, &store, &router).await {
                    tracing::error!(%error, "what was relayed for a session could not be written down");
                }
            }
        }
    });
    following.abort_handle()
}

async fn act(metered: Metered, store: &Store, router: &Weak<Router>) -> Result<(), StoreError> {
    let Metered {
        session,
        relayed,
        over,
    } = metered;
    if let Some((detail, router)) = over.zip(router.upgrade()) {
        router
            .end_session(session.clone(), EndReason::Limit, detail)
            .await;
    }
    if let Some(relayed) = relayed {
        store.relay_policies.relayed(&session, relayed).await?;
    }
    Ok(())
}

/// Writes relayed time, reads policies and places, and which open sessions say that they are relayed.
async fn seldom(
    relays: &Relays,
    store: &Store,
) -> Result<Vec<heron_protocol::SessionId>, StoreError> {
    let days = relays.unwritten(SystemTime::now());
    if !days.is_empty() {
        store.relay_policies.write_days(&days).await?;
    }
    read_policies(relays, store).await?;
    if relays.has_regions() {
        let cameras = store.cameras.everywhere().await?;
        relays.set_places(cameras.iter().map(|camera| {
            (
                camera.id.clone(),
                camera.site.as_deref(),
                camera.tags.as_slice(),
            )
        }));
    }
    store.relay_policies.open_relayed().await
}
