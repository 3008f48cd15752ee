//! A child process as a source: anything that writes Y4M, H.264, H.265 or AV1 to its standard output.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::process::{ChildStderr, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::h264::Syntax;
use crate::source::child::ChildGroup;
use crate::source::ivf::{self, IvfReader};
use crate::source::nal_stream::NalStream;
use crate::source::y4m::poll;
use crate::source::y4m_reader::{self, Y4mReader};
use crate::source::{ExecStream, Polled, VideoSource};
use crate::{FramePool, SourceError, Timestamp};

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// A child that is silent this long is wedged; `rpicam-vid` needs about two seconds to start.
const SILENCE: Duration = Duration::from_secs(15);
/// How much of the child's complaints is kept.
const COMPLAINT: usize = 1024;

/// A running child and what it has written.
pub(crate) struct Exec {
    what: String,
    child: ChildGroup,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    complaint: Vec<u8>,
    stream: Stream,
    pool: FramePool,
    ready: VecDeque<Polled>,
    chunk: Vec<u8>,
    heard: Instant,
    /// A pause this long ends a picture: a quarter of the time between two.
    pause: Duration,
}

/// What the child writes, once it is known.
enum Stream {
    Unknown(Vec<u8>),
    Y4m(Y4mReader),
    Nal(NalStream),
    Ivf(IvfReader),
}

impl Exec {
    /// Starts the child.
    pub(crate) fn start(
        command: &[String],
        stream: ExecStream,
        fps: u32,
        pool: FramePool,
    ) -> Result<Self, SourceError> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(SourceError::unusable("exec", "has no command"));
        };
        let what = format!("exec: {program}");
        let (child, stdout, stderr) =
            ChildGroup::start(program, arguments).map_err(SourceError::io(&what))?;
        let stream = match stream {
            ExecStream::Auto => Stream::Unknown(Vec::new()),
            ExecStream::Y4m => Stream::Y4m(Y4mReader::new(pool.clone())),
            ExecStream::H264 => Stream::Nal(NalStream::new(Syntax::H264)),
            ExecStream::H265 => Stream::Nal(NalStream::new(Syntax::H265)),
            ExecStream::Av1 => Stream::Ivf(IvfReader::default()),
        };
        Ok(Self {
            what,
            child,
            stdout,
            stderr: Some(stderr),
            complaint: Vec::new(),
            stream,
            pool,
            ready: VecDeque::new(),
            chunk: vec![0; CHUNK],
            heard: Instant::now(),
            pause: Duration::from_secs(1) / fps / 4,
        })
    }

    /// Waits for the child to write, and reads what it wrote; false when it wrote nothing.
    fn read(&mut self, timeout: Duration) -> Result<bool, SourceError> {
        let mut fds = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        fds.extend(
            self.stderr
                .as_ref()
                .map(|stderr| PollFd::new(stderr, PollFlags::IN)),
        );
        poll(&mut fds, timeout).map_err(SourceError::io(&self.what))?;
        let output = !fds[0].revents().is_empty();
        if fds
            .get(1)
            .is_some_and(|stderr| !stderr.revents().is_empty())
        {
            self.read_complaint();
        }
        if output {
            return match self.stdout.read(&mut self.chunk) {
                Ok(0) => Err(self.ended()),
                Ok(count) => {
                    self.heard = Instant::now();
                    self.stream.take(
                        &self.what,
                        &self.chunk[..count],
                        &self.pool,
                        &mut self.ready,
                    )?;
                    Ok(true)
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    Ok(false)
                }
                Err(error) => Err(SourceError::io(&self.what)(error)),
            };
        }
        if self.heard.elapsed() > SILENCE {
            let reason = format!("has written nothing for {} s", SILENCE.as_secs());
            return Err(SourceError::lost(&self.what, reason));
        }
        Ok(false)
    }

    /// Keeps the last of what the child says on its standard error: its reason, if it dies.
    fn read_complaint(&mut self) {
        let mut bytes = [0; COMPLAINT];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut bytes) {
                Ok(0) => self.stderr = None,
                Ok(count) => {
                    self.complaint.extend_from_slice(&bytes[..count]);
                    let excess = self.complaint.len().saturating_sub(COMPLAINT);
                    self.complaint.drain(..excess);
                }
                Err(_) => break,
            }
        }
    }

    /// The child has closed its standard output: says how it ended.
    fn ended(&mut self) -> SourceError {
        let status = self.child.end();
        self.read_complaint();
        let mut reason = status.map_or_else(
            || "closed its output".to_owned(),
            |status| format!("ended with {status}"),
        );
        if let Stream::Y4m(reader) = &self.stream {
            let cut_off = reader.cut_off().filter(|_| reader.header().is_some());
            reason.extend(cut_off.map(|cut_off| format!("; its stream {cut_off}")));
        }
        let complaint = String::from_utf8_lossy(&self.complaint);
        let last = complaint
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        reason.extend(last.map(|line| format!("; it said: {line}")));
        SourceError::lost(&self.what, reason)
    }
}

impl Stream {
    /// Makes pictures of bytes that came just now.
    fn take(
        &mut self,
        what: &str,
        bytes: &[u8],
        pool: &FramePool,
        ready: &mut VecDeque<Polled>,
    ) -> Result<(), SourceError> {
        let now = Timestamp::now();
        match self {
            Self::Unknown(start) => {
                start.extend_from_slice(bytes);
                let start = std::mem::take(start);
                match Self::recognise(&start, pool) {
                    Ok(Some(stream)) => *self = stream,
                    Ok(None) => {
                        *self = Self::Unknown(start);
                        return Ok(());
                    }
                    Err(reason) => return Err(SourceError::unusable(what, reason)),
                }
                self.take(what, &start, pool, ready)
            }
            Self::Y4m(reader) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (used, frame) = reader.push(rest, now).map_err(|reason| {
                        SourceError::unusable(what, format!("its stream {reason}"))
                    })?;
                    ready.extend(frame.map(Polled::Frame));
                    rest = &rest[used..];
                }
                Ok(())
            }
            Self::Nal(stream) => {
                let deliver = |unit| ready.push_back(Polled::AccessUnit(unit));
                stream.push(what, bytes, now, deliver)
            }
            Self::Ivf(reader) => {
                let deliver = |unit| ready.push_back(Polled::AccessUnit(unit));
                let read = reader.push(bytes, now, deliver);
                read.map_err(|reason| SourceError::unusable(what, format!("its stream {reason}")))
            }
        }
    }

    /// What a stream is, by its first bytes; none while there are too few.
    fn recognise(start: &[u8], pool: &FramePool) -> Result<Option<Self>, String> {
        let codes: [&[u8]; 2] = [&[0, 0, 1], &[0, 0, 0, 1]];
        let unit = codes.iter().find_map(|code| start.strip_prefix(*code));
        if start.starts_with(y4m_reader::MAGIC) {
            Ok(Some(Self::Y4m(Y4mReader::new(pool.clone()))))
        } else if let Some(unit) = unit {
            match unit {
                // A video parameter set or a delimiter; H.264 has no unit that begins like these.
                [0x40 | 0x46, 1, ..] => {
                    Err("wrote H.265, which must be named: \"h265\"".to_owned())
                }
                [_, _, ..] => Ok(Some(Self::Nal(NalStream::new(Syntax::H264)))),
                _ => Ok(None),
            }
        } else if start.starts_with(ivf::MAGIC) {
            Err("wrote IVF, which must be named: \"av1\"".to_owned())
        } else if [y4m_reader::MAGIC, ivf::MAGIC]
            .iter()
            .chain(&codes)
            .any(|begin| begin.starts_with(start))
        {
            Ok(None)
        } else {
            let seen = start[..start.len().min(8)].escape_ascii();
            Err(format!(
                "wrote neither Y4M nor H.264 with start codes: its output begins with \"{seen}\""
            ))
        }
    }
}

impl VideoSource for Exec {
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(polled) = self.ready.pop_front() {
                return Ok(polled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let flushable = matches!(&self.stream, Stream::Nal(stream) if stream.may_flush());
            let came = self.read(if flushable {
                left.min(self.pause)
            } else {
                left
            })?;
            if let (true, false, Stream::Nal(stream)) = (flushable, came, &mut self.stream)
                && self.heard.elapsed() >= self.pause
            {
                // The writer pauses after a picture: it is whole, there is no need to wait for the
                // next one.
                self.ready.extend(stream.flush().map(Polled::AccessUnit));
            }
            if self.ready.is_empty() && left.is_zero() {
                return Ok(Polled::Idle);
            }
        }
    }

    fn take_lost(&mut self) -> u64 {
        match &mut self.stream {
            Stream::Nal(stream) => stream.take_lost(),
            Stream::Unknown(_) | Stream::Y4m(_) | Stream::Ivf(_) => 0,
        }
    }
}
