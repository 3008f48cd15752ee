//! Accounts, and who is signed in.

use heron_control::access::{PasswordHash, Role};
use heron_control::store::{Account, Person, StoreError};

use crate::Place;

pub fn account(id: &str, name: &str) -> Account {
    Account {
        person: Person {
            id: id.to_owned(),
            tenant: "home".parse().unwrap(),
            name: name.to_owned(),
            role: Role::Admin,
            added_ms: 1_000,
        },
        password_hash: PasswordHash::from_stored("a hash".to_owned()),
    }
}

pub async fn names_are_the_same_in_any_case(place: &Place) {
    let store = place.open().await;
    store.people.add(&account("p1", "Ada")).await.unwrap();
    let again = store.people.add(&account("p2", "aDA")).await;
    assert!(
        matches!(again, Err(StoreError::NameTaken { .. })),
        "{again:?}"
    );
    // Whatever else is in a name is text.
    store
        .people
        .add(&account("p3", "Ada'; DROP TABLE person; --"))
        .await
        .unwrap();

    let found = store.people.by_name("ADA").await.unwrap().unwrap();
    assert_eq!(found.person, account("p1", "Ada").person);
    assert_eq!(found.password_hash.as_str(), "a hash");
    assert_eq!(store.people.by_id("p1").await.unwrap(), Some(found.person));
    assert_eq!(store.people.by_id("p2").await.unwrap(), None);
    store.people.add(&account("p4", "aaa")).await.unwrap();
    let names: Vec<_> = store
        .people
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["aaa", "Ada", "Ada'; DROP TABLE person; --"]);
    // Another process sees it.
    assert!(
        place
            .open()
            .await
            .people
            .by_name("ada")
            .await
            .unwrap()
            .is_some()
    );
}

pub async fn a_sign_in_ends_by_time_and_by_word(place: &Place) {
    let store = place.open().await;
    store.people.add(&account("p1", "Ada")).await.unwrap();
    store
        .sign_ins
        .add(&[1; 32], "p1", 1_000, 2_000)
        .await
        .unwrap();
    store
        .sign_ins
        .add(&[2; 32], "p1", 1_000, 9_000)
        .await
        .unwrap();
    let who = |token: u8, now_ms| {
        let store = store.clone();
        async move {
            store
                .sign_ins
                .person(&[token; 32], now_ms)
                .await
                .unwrap()
                .map(|one| one.name)
        }
    };
    assert_eq!(who(1, 1_999).await.as_deref(), Some("Ada"));
    assert_eq!(who(1, 2_000).await, None, "its time is over");
    assert_eq!(who(3, 1_500).await, None, "nobody's token");
    store.sign_ins.remove(&[2; 32]).await.unwrap();
    assert_eq!(who(2, 1_500).await, None, "signed out");
    let stranger = store.sign_ins.add(&[4; 32], "nobody", 1_000, 2_000).await;
    assert!(stranger.is_err(), "only who has an account");
}
