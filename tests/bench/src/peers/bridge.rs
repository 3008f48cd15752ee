//! Two offers made into two answers.
//!
//! A WHEP player offers, and so does Janus. Both sides say everything an answer needs, so each is
//! answered with what the other one offered. Janus runs as ICE-lite, so there is no doubt about the
//! roles: the player controls. The player is the active side of DTLS.

use anyhow::{Context, Result};

/// What a side offered, as far as the other one needs it.
#[derive(Debug, PartialEq)]
pub struct Side<'a> {
    /// ICE user fragment, password and the certificate's fingerprint, as whole lines.
    secrets: Vec<&'a str>,
    /// Candidates that are addresses, as whole lines.
    candidates: Vec<&'a str>,
    /// The synchronisation source and its names, as whole lines.
    sources: Vec<&'a str>,
    /// Names the picture.
    mid: &'a str,
    /// The payload type of H.264, constrained baseline in packetisation mode 1.
    payload_type: u8,
    /// That payload type's parameters.
    parameters: &'a str,
}

impl<'a> Side<'a> {
    /// Reads an offer of one picture.
    pub fn read(sdp: &'a str) -> Result<Self> {
        let all = |prefix: &str| -> Vec<&'a str> {
            sdp.lines()
                .map(str::trim_end)
                .filter(|line| line.starts_with(prefix))
                .collect()
        };
        let mut secrets = Vec::new();
        for name in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"] {
            let line = all(name).first().copied();
            secrets.push(line.with_context(|| format!("the offer has no {name}"))?);
        }
        let mids = all("a=mid:");
        let mid = mids.first().context("the offer has no a=mid:")?;
        let (payload_type, parameters) = all("a=fmtp:")
            .into_iter()
            .filter_map(|line| line["a=fmtp:".len()..].split_once(' '))
            .find(|(_, parameters)| {
                let small = parameters.to_ascii_lowercase();
                small.contains("packetization-mode=1") && small.contains("profile-level-id=42e0")
            })
            .context("the offer has no H.264 that would fit")?;
        Ok(Self {
            secrets,
            candidates: all("a=candidate:")
                .into_iter()
                .filter(|line| !line.contains(".local "))
                .collect(),
            sources: all("a=ssrc:"),
            mid: &mid["a=mid:".len()..],
            payload_type: payload_type.parse()?,
            parameters,
        })
    }

    /// The payload type of its H.264.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.payload_type
    }

    /// The answer to this side's offer, with what `other` is.
    fn answer(&self, other: &Side<'_>, role: &Role, payload_type: u8, feedback: &[&str]) -> String {
        let Role {
            session,
            setup,
            direction,
        } = role;
        let mut lines = vec![
            "v=0".to_owned(),
            "o=- 1 1 IN IP4 0.0.0.0".to_owned(),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            format!("a=group:BUNDLE {}", self.mid),
        ];
        lines.extend(session.iter().map(|line| (*line).to_owned()));
        lines.push(format!("m=video 9 UDP/TLS/RTP/SAVPF {payload_type}"));
        lines.push("c=IN IP4 0.0.0.0".to_owned());
        lines.push(format!("a=mid:{}", self.mid));
        lines.push(format!("a={direction}"));
        lines.push("a=rtcp-mux".to_owned());
        lines.extend(other.secrets.iter().map(|line| (*line).to_owned()));
        lines.push(format!("a=setup:{setup}"));
        lines.push(format!("a=rtpmap:{payload_type} H264/90000"));
        lines.push(format!("a=fmtp:{payload_type} {}", self.parameters));
        lines.extend(
            feedback
                .iter()
                .map(|kind| format!("a=rtcp-fb:{payload_type} {kind}")),
        );
        lines.extend(other.sources.iter().map(|line| (*line).to_owned()));
        lines.extend(other.candidates.iter().map(|line| (*line).to_owned()));
        lines.push("a=end-of-candidates\r\n".to_owned());
        lines.join("\r\n")
    }
}

struct Role {
    session: &'static [&'static str],
    setup: &'static str,
    direction: &'static str,
}

/// The answers to the player and to the server (ICE-lite), in this order.
#[must_use]
pub fn answers(player: &Side<'_>, server: &Side<'_>) -> (String, String) {
    const FEEDBACK: &[&str] = &["nack", "nack pli", "ccm fir"];
    let passive = Role {
        session: &["a=ice-lite"],
        setup: "passive",
        direction: "sendonly",
    };
    let active = Role {
        session: &[],
        setup: "active",
        direction: "recvonly",
    };
    // Packets carry the number that the player knows.
    let number = player.payload_type;
    (
        player.answer(server, &passive, number, FEEDBACK),
        server.answer(player, &active, number, FEEDBACK),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYER: &str = "v=0\r\na=ice-ufrag:pppp\r\na=ice-pwd:player\r\na=fingerprint:sha-256 AA\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 109\r\na=mid:0\r\na=fmtp:96 apt=95\r\n\
        a=fmtp:109 packetization-mode=1;profile-level-id=42E01F\r\n\
        a=candidate:1 1 udp 1 abc.local 9 typ host\r\na=candidate:2 1 udp 1 10.0.0.1 9 typ host\r\n";
    const SERVER: &str = "v=0\r\na=fingerprint:sha-256 BB\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n\
        a=ice-ufrag:ssss\r\na=ice-pwd:server\r\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1\r\n\
        a=ssrc:7 cname:janus\r\na=candidate:1 1 udp 1 10.0.0.2 8 typ host\r\n";

    #[test]
    fn each_side_is_answered_with_the_other_ones_secrets_and_its_own_names() {
        let (player, server) = (Side::read(PLAYER).unwrap(), Side::read(SERVER).unwrap());
        let (to_player, to_server) = answers(&player, &server);
        for line in [
            "a=ice-ufrag:ssss",
            "a=mid:0",
            "a=setup:passive",
            "a=ice-lite",
            "a=ssrc:7 cname:janus",
        ] {
            assert!(
                to_player.contains(&format!("{line}\r\n")),
                "{line} in {to_player}"
            );
        }
        for line in [
            "a=ice-ufrag:pppp",
            "a=mid:v",
            "a=setup:active",
            "a=rtpmap:109 H264/90000",
        ] {
            assert!(
                to_server.contains(&format!("{line}\r\n")),
                "{line} in {to_server}"
            );
        }
        assert!(to_server.contains("10.0.0.1") && !to_server.contains(".local"));
    }

    #[test]
    fn an_offer_without_h264_is_refused() {
        assert!(Side::read(&PLAYER.replace("42E01F", "640c1f")).is_err());
    }
}
