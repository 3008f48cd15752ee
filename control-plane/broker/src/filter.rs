//! Topic filters (MQTT 5, 4.7), as far as a store of retained messages needs them.

/// Whether `topic` is one of those that `filter` asks for (4.7.1). Topics that begin with `$` are not matched by a
/// leading wildcard (4.7.2).
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = filter.split('/');
    let mut levels = topic.split('/');
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(want), Some(level)) if want == level => {}
            _ => return false,
        }
    }
}

/// The part of `filter` that every matching topic begins with: all that comes before the first wildcard.
/// For `a/b/#` it is `a/b`, because that filter asks for `a/b` too.
pub(crate) fn literal_prefix(filter: &str) -> &str {
    match filter.find(['+', '#']) {
        Some(at) if filter[at..].starts_with('#') => filter[..at].trim_end_matches('/'),
        Some(at) => &filter[..at],
        None => filter,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    proptest! {
        #[test]
        fn whatever_matches_begins_with_the_literal_prefix(
            filter in "([ab+]/){0,4}[ab+#]",
            topic in "([ab]/){0,4}[ab]",
        ) {
            if matches(&filter, &topic) {
                prop_assert!(topic.starts_with(literal_prefix(&filter)));
            }
        }

        #[test]
        fn a_topic_matches_itself_and_any_filter_made_by_widening_it(
            topic in "([ab]{1,2}/){0,4}[ab]{1,2}",
            level in 0_usize..5,
        ) {
            prop_assert!(matches(&topic, &topic));
            let mut levels: Vec<&str> = topic.split('/').collect();
            let at = level % levels.len();
            levels[at] = "+";
            prop_assert!(matches(&levels.join("/"), &topic));
            levels.truncate(at);
            levels.push("#");
            prop_assert!(matches(&levels.join("/"), &topic));
        }
    }
}
