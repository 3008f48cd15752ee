//! As much HTTP as WHEP and Janus' JSON API take: one request a connection, whole bodies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The largest body taken: an SDP has a few kilobytes.
const BODY: u64 = 256 * 1024;
/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// A request as the server sees it.
#[derive(Debug)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// `/whep`.
    pub path: String,
    /// The body as text.
    pub body: String,
}

/// An answer, given or got.
#[derive(Debug, Default)]
pub struct Answer {
    /// 201.
    pub status: u16,
    /// The type of the body; empty for none.
    pub content_type: String,
    /// Where what was created is found.
    pub location: Option<String>,
    /// The body as text.
    pub body: String,
}

/// Asks a server. An answer of any status is `Ok`; no answer is an error.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let (host, path) = split(url)?;
    let mut stream = TcpStream::connect(host).with_context(|| format!("nobody answers {url}"))?;
    stream.set_read_timeout(Some(SILENCE))?;
    // HTTP/1.0: the server closes when it is done, and never sends chunks.
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut reader = BufReader::new(stream.take(BODY));
    let first = line(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut answer = Answer {
        status: status.with_context(|| format!("{url} does not speak HTTP"))?,
        ..Answer::default()
    };
    let length = headers_of(&mut reader, |name, value| match name {
        "content-type" => value.clone_into(&mut answer.content_type),
        "location" => answer.location = Some(value.to_owned()),
        _ => {}
    })?;
    match length {
        Some(length) => _ = reader.take(length).read_to_string(&mut answer.body)?,
        None => _ = reader.read_to_string(&mut answer.body)?,
    }
    Ok(answer)
}

/// Serves until the process ends, each connection in a thread of its own.
pub fn serve(
    listener: &TcpListener,
    handle: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> Result<()> {
    let handle = Arc::new(handle);
    loop {
        let (stream, _) = listener.accept()?;
        let handle = Arc::clone(&handle);
        // Whoever sends no whole request gets no answer, and the others theirs.
        thread::spawn(move || _ = answer(stream, &*handle));
    }
}

fn answer(mut stream: TcpStream, handle: &dyn Fn(&Request) -> Answer) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(BODY));
    let first = line(&mut reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        bail!("not a request");
    };
    let length = headers_of(&mut reader, |_, _| {})?;
    let mut body = String::new();
    reader
        .take(length.unwrap_or_default())
        .read_to_string(&mut body)?;
    let answer = handle(&Request {
        method: method.to_owned(),
        path: path.to_owned(),
        body,
    });
    let Answer {
        status,
        content_type,
        location,
        body,
    } = answer;
    let location = location.map_or(String::new(), |place| format!("Location: {place}\r\n"));
    // Any page may ask: what listens here lives for one bench.
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\n{location}Content-Length: {}\r\n\
         Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n\
         Access-Control-Allow-Methods: *\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

/// The headers to the empty line, names in small letters; returns the body's length if it is said.
fn headers_of(reader: &mut impl BufRead, mut each: impl FnMut(&str, &str)) -> Result<Option<u64>> {
    let mut length = None;
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(length);
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if name == "content-length" {
            length = value.trim().parse().ok();
        }
        each(&name, value.trim());
    }
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("the other side closed too early");
    }
    Ok(line.trim_end().to_owned())
}

/// Host with port, and path, of an `http://` URL.
fn split(url: &str) -> Result<(&str, &str)> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("{url} does not begin with http://"))?;
    Ok(match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_arrives_and_what_is_answered_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            serve(&listener, |request| Answer {
                status: 201,
                content_type: "application/sdp".to_owned(),
                location: Some(format!("{}/1", request.path)),
                body: format!("{} {}", request.method, request.body),
            })
        });
        let url = format!("http://{address}/whep");
        let answer = ask("POST", &url, &[("Content-Type", "application/sdp")], "v=0").unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.location.as_deref(), Some("/whep/1"));
        assert_eq!(answer.body, "POST v=0");
    }
}
