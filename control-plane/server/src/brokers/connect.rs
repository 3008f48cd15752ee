//! The one packet of a browser that the gateway reads: CONNECT (MQTT 5, 3.1).
//!
//! It is read strictly and written anew, so that nothing of it reaches the broker that was not understood. What is not
//! MQTT 5, has a will, or asks for extended authentication is refused with a reason code of CONNACK (3.2.2.2).

use thiserror::Error;

/// The longest CONNECT of a browser, in bytes: ids and a token take a few hundred.
pub const LONGEST: usize = 4096;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const USER_NAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL: u8 = 0x3c;
const CLEAN_START: u8 = 0x02;
const RESERVED: u8 = 0x01;

/// What a browser asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connect {
    /// MQTT client id.
    pub client_id: String,
    /// User name.
    pub user_name: Option<String>,
    /// Password: the token.
    pub password: Option<Vec<u8>>,
    /// Whether an earlier session is to be forgotten.
    pub clean_start: bool,
    /// Seconds.
    pub keep_alive_s: u16,
    /// How long the session is to outlive the connection, in seconds.
    pub session_expiry_s: Option<u32>,
    /// Messages that may be on their way to it without acknowledgement.
    pub receive_maximum: Option<u16>,
    /// The largest packet it takes, in bytes.
    pub maximum_packet: Option<u32>,
    /// Topic aliases it takes.
    pub topic_alias_maximum: Option<u16>,
}

/// Why a packet is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotConnect {
    /// Something else, or a CONNECT with a mistake in it.
    #[error("not a well-formed CONNECT: {0}")]
    Malformed(&'static str),
    /// It is longer than [`LONGEST`].
    #[error("a CONNECT of more than {LONGEST} bytes")]
    TooLong,
    /// Another version of MQTT.
    #[error("MQTT 5 is spoken here, not level {0}")]
    Version(u8),
    /// Browsers leave none.
    #[error("a browser leaves no will")]
    Will,
    /// AUTH packets.
    #[error("there is no extended authentication here")]
    Authentication,
}

impl NotConnect {
    /// The reason code to refuse with (3.2.2.2).
    pub const fn reason(self) -> u8 {
        match self {
            Self::Malformed(_) => 0x81,
            Self::TooLong => 0x95,
            Self::Version(_) => 0x84,
            Self::Will => 0x87,
            Self::Authentication => 0x8c,
        }
    }
}

/// A CONNACK that refuses with that reason code.
pub const fn refusal(reason: u8) -> [u8; 5] {
    [CONNACK, 3, 0, reason, 0]
}

/// Reads the CONNECT that `bytes` begin with, and says how long it is. `None`: it has not come whole yet.
///
/// # Errors
///
/// [`NotConnect`].
pub fn read(bytes: &[u8]) -> Result<Option<(Connect, usize)>, NotConnect> {
    match bytes.first() {
        None => return Ok(None),
        Some(&CONNECT) => {}
        Some(_) => return Err(NotConnect::Malformed("the first packet is another")),
    }
    let mut head = Reader(&bytes[1..]);
    let length = match head.variable() {
        Ok(length) => length,
        // Up to four bytes (1.5.5).
        Err(_) if bytes.len() < 5 => return Ok(None),
        Err(error) => return Err(error),
    };
    let start = bytes.len() - head.0.len();
    let end = start + length;
    if end > LONGEST {
        return Err(NotConnect::TooLong);
    }
    let Some(body) = bytes.get(start..end) else {
        return Ok(None);
    };
    Ok(Some((body_of(Reader(body))?, end)))
}

fn body_of(mut body: Reader<'_>) -> Result<Connect, NotConnect> {
    if body.binary()? != b"MQTT" {
        return Err(NotConnect::Malformed("the protocol name"));
    }
    let level = body.byte()?;
    if level != 5 {
        return Err(NotConnect::Version(level));
    }
    let flags = body.byte()?;
    if flags & RESERVED != 0 {
        return Err(NotConnect::Malformed("a reserved flag"));
    }
    if flags & WILL != 0 {
        return Err(NotConnect::Will);
    }
    let mut connect = Connect {
        clean_start: flags & CLEAN_START != 0,
        keep_alive_s: body.two()?,
        ..Connect::default()
    };
    let length = body.variable()?;
    let properties = Reader(body.take(length)?);
    connect.read_properties(properties)?;
    connect.client_id = body.text()?;
    if flags & USER_NAME != 0 {
        connect.user_name = Some(body.text()?);
    }
    if flags & PASSWORD != 0 {
        connect.password = Some(body.binary()?.to_vec());
    }
    if body.0.is_empty() {
        Ok(connect)
    } else {
        Err(NotConnect::Malformed("more than its fields"))
    }
}

impl Connect {
    /// The properties of 3.1.2.11. Those that nobody here needs are read and left out.
    fn read_properties(&mut self, mut from: Reader<'_>) -> Result<(), NotConnect> {
        let mut seen = 0_u64;
        while !from.0.is_empty() {
            let id = from.byte()?;
            let once = 1_u64
                .checked_shl(u32::from(id))
                .ok_or(NotConnect::Malformed("an unknown property"))?;
            // Only user properties may come again.
            if id != 0x26 && seen & once != 0 {
                return Err(NotConnect::Malformed("a property comes twice"));
            }
            seen |= once;
            match id {
                0x11 => self.session_expiry_s = Some(from.four()?),
                0x21 => self.receive_maximum = Some(non_zero(from.two()?)?),
                0x27 => self.maximum_packet = Some(non_zero(from.four()?)?),
                0x22 => self.topic_alias_maximum = Some(from.two()?),
                0x17 | 0x19 if from.byte()? <= 1 => {}
                0x26 => {
                    from.text()?;
                    from.text()?;
                }
                0x15 | 0x16 => return Err(NotConnect::Authentication),
                _ => return Err(NotConnect::Malformed("a property")),
            }
        }
        Ok(())
    }

    /// As a packet.
    pub fn write(&self) -> Vec<u8> {
        let mut properties = Vec::new();
        let mut property = |id: u8, value: Option<Vec<u8>>| {
            if let Some(value) = value {
                properties.push(id);
                properties.extend(value);
            }
        };
        let two = |value: Option<u16>| value.map(|value| value.to_be_bytes().to_vec());
        let four = |value: Option<u32>| value.map(|value| value.to_be_bytes().to_vec());
        property(0x11, four(self.session_expiry_s));
        property(0x21, two(self.receive_maximum));
        property(0x27, four(self.maximum_packet));
        property(0x22, two(self.topic_alias_maximum));

        let mut flags = if self.clean_start { CLEAN_START } else { 0 };
        let mut body = Vec::new();
        put_binary(&mut body, b"MQTT");
        body.push(5);
        let flags_at = body.len();
        body.push(0);
        body.extend(self.keep_alive_s.to_be_bytes());
        put_variable(&mut body, properties.len());
        body.extend(properties);
        put_binary(&mut body, self.client_id.as_bytes());
        if let Some(name) = &self.user_name {
            flags |= USER_NAME;
            put_binary(&mut body, name.as_bytes());
        }
        if let Some(password) = &self.password {
            flags |= PASSWORD;
            put_binary(&mut body, password);
        }
        body[flags_at] = flags;
        let mut packet = vec![CONNECT];
        put_variable(&mut packet, body.len());
        packet.extend(body);
        packet
    }
}

fn non_zero<T: Default + PartialEq>(value: T) -> Result<T, NotConnect> {
    if value == T::default() {
        return Err(NotConnect::Malformed("a property that must not be zero"));
    }
    Ok(value)
}

/// Two bytes of length, then the bytes. Everything here is shorter than [`LONGEST`].
fn put_binary(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    to.extend(length.to_be_bytes());
    to.extend(&bytes[..usize::from(length)]);
}

/// A variable byte integer (1.5.5).
fn put_variable(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        to.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NotConnect> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(NotConnect::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotConnect> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, NotConnect> {
        Ok(self.array::<1>()?[0])
    }

    fn two(&mut self) -> Result<u16, NotConnect> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn four(&mut self) -> Result<u32, NotConnect> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn variable(&mut self) -> Result<usize, NotConnect> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(NotConnect::Malformed("a length of more than four bytes"))
    }

    fn binary(&mut self) -> Result<&'a [u8], NotConnect> {
        let length = self.two()?;
        self.take(length.into())
    }

    /// UTF-8 without U+0000 (1.5.4).
    fn text(&mut self) -> Result<String, NotConnect> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| NotConnect::Malformed("a text that is not UTF-8"))?;
        if text.contains('\0') {
            return Err(NotConnect::Malformed("a text with NUL"));
        }
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of figure 3-6 in the specification of MQTT 5: keep-alive 10 s, session expiry 10 s; without its will.
    const EXAMPLE: &[u8] = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x00";

    #[test]
    fn the_example_of_the_specification() {
        let (connect, length) = read(EXAMPLE).unwrap().unwrap();
        assert_eq!(length, EXAMPLE.len());
        assert!(connect.clean_start);
        assert_eq!(connect.keep_alive_s, 10);
        assert_eq!(connect.session_expiry_s, Some(10));
        assert_eq!(connect.write(), EXAMPLE);
        for end in 0..EXAMPLE.len() {
            assert_eq!(read(&EXAMPLE[..end]), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn what_is_refused_has_its_reason() {
        let with = |at: usize, byte: u8| {
            let mut bytes = EXAMPLE.to_vec();
            bytes[at] = byte;
            read(&bytes).unwrap_err().reason()
        };
        assert_eq!(with(0, 0x30), 0x81, "another packet");
        assert_eq!(with(4, b'N'), 0x81, "another protocol");
        assert_eq!(with(8, 4), 0x84, "MQTT 3.1.1");
        assert_eq!(with(9, 0x03), 0x81, "the reserved flag");
        assert_eq!(with(9, 0x06), 0x87, "a will");
        assert_eq!(with(13, 0x15), 0x8c, "extended authentication");
        assert_eq!(with(13, 0x77), 0x81, "an unknown property");
        assert_eq!(read(b"\x10\xff\xff\xff\xff").unwrap_err().reason(), 0x81);
        assert_eq!(read(b"\x10\xff\xff\x03").unwrap_err().reason(), 0x95);
        assert_eq!(refusal(0x86), *b"\x20\x03\x00\x86\x00");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let mut connect = vec![CONNECT, 60];
            connect.extend(b"\x00\x04MQTT\x05");
            connect.extend(bytes);
            let _ = read(&connect);
        }

        #[test]
        fn what_was_written_is_read_the_same(
            client_id in "[a-z0-9-]{0,40}",
            user_name in prop::option::of("[^\0]{0,40}"),
            password in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
            clean_start: bool,
            keep_alive_s: u16,
            session_expiry_s: Option<u32>,
            receive_maximum in prop::option::of(1..u16::MAX),
            maximum_packet in prop::option::of(1..u32::MAX),
            topic_alias_maximum: Option<u16>,
        ) {
            let connect = Connect {
                client_id,
                user_name,
                password,
                clean_start,
                keep_alive_s,
                session_expiry_s,
                receive_maximum,
                maximum_packet,
                topic_alias_maximum,
            };
            let written = connect.write();
            prop_assert_eq!(read(&written), Ok(Some((connect, written.len()))));
        }
    }
}
