//! From a position in a TOML text to what a person looks for: the line and the key.

/// A line of the file, and the key on it with its section.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// Empty if there is no key on it.
    pub field: String,
}

/// The place of byte `at`. A value over several lines belongs to the line with its key.
pub fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let here = before.matches('\n').count();
    let lines: Vec<&str> = text.lines().collect();
    let upwards = lines.iter().enumerate().take(here + 1).rev();
    let key = upwards
        .clone()
        .map(|(index, line)| (index, line.trim()))
        .find_map(|(index, line)| {
            let (key, _) = line.split_once('=').filter(|(key, _)| is_key(key))?;
            Some((index, key.trim()))
        });
    let header = |index: usize| {
        let headers = lines.iter().take(index + 1).rev().map(|line| line.trim());
        headers
            .filter(|line| line.starts_with('['))
            .filter_map(|line| line.trim_start_matches('[').split(']').next())
            .find(|name| is_key(name))
    };
    let in_header = lines
        .get(here)
        .is_some_and(|line| line.trim().starts_with('[') && line.trim().ends_with(']'));
    match key {
        Some((index, key)) if !in_header => {
            let section = header(index)
                .map(|section| format!("{}.", section.trim()))
                .unwrap_or_default();
            Place {
                line: index + 1,
                field: format!("{section}{key}"),
            }
        }
        _ => Place {
            line: here + 1,
            field: header(here).unwrap_or_default().trim().to_owned(),
        },
    }
}

fn is_key(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "top = 1\n[server]\nlisten = \"x\"\nlist = [\n  1,\n  2,\n]\n[other]\n[[many]]\nhost = \"y\"\n";

    fn at(needle: &str) -> (usize, String) {
        let Place { line, field } = place(TEXT, TEXT.find(needle).unwrap());
        (line, field)
    }

    #[test]
    fn a_position_becomes_line_and_key() {
        assert_eq!(at("top"), (1, "top".to_owned()));
        assert_eq!(at("\"x\""), (3, "server.listen".to_owned()));
        assert_eq!(at("2,"), (4, "server.list".to_owned()));
        assert_eq!(at("other"), (8, "other".to_owned()));
        assert_eq!(at("\"y\""), (10, "many.host".to_owned()));
        assert_eq!(
            place("", 7),
            Place {
                line: 1,
                field: String::new()
            }
        );
    }
}
