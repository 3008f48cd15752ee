//! SDP: the viewer's offer and our answer (RFC 8866, RFC 9429).

pub(crate) mod answer;
mod codec;
mod error;
pub(crate) mod offer;
pub(crate) mod section;

#[cfg(test)]
mod tests;

pub use error::OfferError;
