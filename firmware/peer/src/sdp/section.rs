//! The lines of an offer, sorted by what they say (RFC 8866).

use std::collections::HashMap;

/// A media section, or (first) what stands before them all.
#[derive(Debug, Default)]
pub struct RawSection<'a> {
    pub kind: &'a str,
    pub port: &'a str,
    pub protocol: &'a str,
    /// Payload types in order of preference; for data channels a word.
    pub formats: Vec<&'a str>,
    pub attributes: Vec<(&'a str, &'a str)>,
}

/// Which way media flows, as the offerer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// Splits an offer: the session's own lines first, then its media sections.
pub fn split(sdp: &str) -> Vec<RawSection<'_>> {
    let mut sections = vec![RawSection::default()];
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            sections.push(RawSection {
                kind: words.next().unwrap_or_default(),
                port: words.next().unwrap_or_default(),
                protocol: words.next().unwrap_or_default(),
                formats: words.collect(),
                attributes: Vec::new(),
            });
        } else if let (Some(section), Some(attribute)) =
            (sections.last_mut(), line.strip_prefix("a="))
        {
            let pair = attribute.split_once(':').unwrap_or((attribute, ""));
            section.attributes.push(pair);
        }
    }
    sections
}

impl<'a> RawSection<'a> {
    /// All values of an attribute.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a str> + 'b {
        self.attributes
            .iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| *value)
    }

    /// The first value of an attribute.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub fn direction(&self) -> Direction {
        let named = |name| match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        };
        self.attributes
            .iter()
            .find_map(|(name, _)| named(*name))
            .unwrap_or(Direction::SendRecv)
    }

    pub fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .filter(|payload_type| *payload_type < 128)
    }

    /// The value of a numbered attribute (`rtpmap`, `fmtp`) for a payload type.
    pub fn numbered(&self, name: &str, payload_type: u8) -> Option<&'a str> {
        self.all(name).find_map(|value| {
            let (number, rest) = value.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(rest)
        })
    }

    pub fn is(&self, payload_type: u8, codec: &str) -> bool {
        self.numbered("rtpmap", payload_type)
            .is_some_and(|offered| offered.eq_ignore_ascii_case(codec))
    }

    /// A format parameter.
    pub fn parameter(&self, payload_type: u8, name: &str) -> Option<&'a str> {
        let parameters = self.numbered("fmtp", payload_type)?;
        parameters.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// `a=rtcp-fb` values for a payload type, as in `nack pli`.
    pub fn feedback(&self, payload_type: u8) -> impl Iterator<Item = &'a str> {
        let number = payload_type.to_string();
        self.all("rtcp-fb").filter_map(move |value| {
            let (to, what) = value.split_once(' ')?;
            (to == number || to == "*").then_some(what)
        })
    }

    /// Header extensions that we may send, with numbers for a one-byte header (RFC 8285 section 4.2).
    pub fn extensions(&self) -> HashMap<&'a str, Extension> {
        self.all("extmap")
            .filter_map(|value| {
                let (number, rest) = value.split_once(' ')?;
                let (number, direction) = number.split_once('/').unwrap_or((number, ""));
                let id = number.parse().ok().filter(|id| (1..=14).contains(id))?;
                let directed = match direction {
                    "" | "sendrecv" => false,
                    "recvonly" => true,
                    _ => return None,
                };
                let uri = rest.split(' ').next()?;
                Some((uri, Extension { id, directed }))
            })
            .collect()
    }
}

/// A header extension as offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    pub id: u8,
    /// Offered for receiving only: the answer says `sendonly`.
    pub directed: bool,
}
