use super::Config;

/// What the caller has taken from events and not released, over all requests of a connection.
///
/// ```text
/// Event::Stdout ──hold──> held by the caller ──release──> passed on
///                           └─abort, END_REQUEST──> no longer counted: nothing more comes of that request
/// ```
#[derive(Debug)]
pub(super) struct Account {
    held: usize,
    /// How many requests are past their own window.
    past: usize,
    request_window: usize,
    connection_window: usize,
}

/// One request's share; only an [`Account`] changes it.
#[derive(Debug, Default)]
pub(super) struct Share(usize);

impl Account {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            held: 0,
            past: 0,
            request_window: config.request_window,
            connection_window: config.connection_window,
        }
    }

    pub(super) fn hold(&mut self, share: &mut Share, len: usize) {
        self.set(share, share.0.saturating_add(len));
    }

    /// Gives back no more than is held, so that the account is never negative.
    pub(super) fn release(&mut self, share: &mut Share, len: usize) {
        self.set(share, share.0.saturating_sub(len));
    }

    pub(super) fn release_all(&mut self, share: &mut Share) {
        self.set(share, 0);
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing more should come for now.
    pub(super) const fn is_over(&self) -> bool {
        self.past > 0 || self.held > self.connection_window
    }

    /// Whether it is this request that keeps the connection from reading.
    pub(super) const fn is_cause(&self, share: &Share) -> bool {
        let is_over = self.held > self.connection_window;
        self.is_past(share) || is_over && share.0 > 0
    }

    const fn is_past(&self, share: &Share) -> bool {
        share.0 > self.request_window
    }

    fn set(&mut self, share: &mut Share, len: usize) {
        self.past -= usize::from(self.is_past(share));
        self.held = self.held.saturating_sub(share.0).saturating_add(len);
        share.0 = len;
        self.past += usize::from(self.is_past(share));
    }
}
