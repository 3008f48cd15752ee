//! RTP (RFC 3550): the outgoing streams of one viewer.

pub(crate) mod batch;
pub(crate) mod fec;
pub(crate) mod header;
mod history;
pub(crate) mod receive;
pub(crate) mod stream;
