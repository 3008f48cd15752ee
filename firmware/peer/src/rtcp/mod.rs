//! RTCP (RFC 3550 section 6, RFC 4585, RFC 5104): our reports, and what the viewer says.

mod read;
mod reception;
mod transport_feedback;
mod write;

pub(crate) use read::{Feedback, ReportBlock, read};
pub(crate) use reception::Reception;
pub(crate) use transport_feedback::FeedbackClock;
pub(crate) use write::{SenderReport, compound, goodbye};
