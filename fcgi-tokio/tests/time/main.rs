//! What the client does when: under a paused clock, which goes on only while nobody has anything to do.

mod limits;
mod peer;
mod streaming;
