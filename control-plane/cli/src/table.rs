//! What a person reads: tables, times, and no control characters from elsewhere.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A text without what would steer a terminal: much of what is shown was said by a device.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A time of the API, in this machine's zone.
pub fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| {
            at.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        },
    )
}

/// Columns under their headings; `nothing` where there are no rows.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]], nothing: &str) -> String {
    if rows.is_empty() {
        return format!("{nothing}\n");
    }
    let rows: Vec<[String; N]> = std::iter::once(heading.map(str::to_uppercase))
        .chain(rows.iter().map(|row| row.clone().map(|cell| clean(&cell))))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names with their values, one a line; a value that is empty is left out.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:width$}  {}\n", clean(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_words_and_steers_no_terminal() {
        let rows = [
            ["front-door-01".to_owned(), "Tür".to_owned()],
            ["shed".to_owned(), "\u{1b}[2Jx".to_owned()],
        ];
        assert_eq!(
            table(["id", "name"], &rows, "none"),
            "ID             NAME\nfront-door-01  Tür\nshed            [2Jx\n"
        );
        assert_eq!(table(["id"], &[], "no cameras"), "no cameras\n");
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        let shown = facts(&[
            ("id", "x".into()),
            ("reason", String::new()),
            ("name", "y".into()),
        ]);
        assert_eq!(shown, "id      x\nname    y\n");
    }
}
