//! What a viewer notices, in virtual time: estimator, pacer and ladder over a model of the path.

mod encoder;
mod link;
mod parity;
mod random;
mod receiver;
mod scenarios;
mod tcp;
mod together;
mod world;
