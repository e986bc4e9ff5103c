use fcgi_proto::{ProtocolError, RequestKey, Role, SendError, client, server};

use super::{Seen, Side, client_seen, note, server_seen};

type App = Box<dyn FnMut(&mut server::Connection, &server::Event<'_>)>;

/// A client and an application in memory, with a wire between them that takes at most `cut` bytes at a time.
pub(crate) struct Pair {
    pub(crate) client: client::Connection,
    pub(crate) server: server::Connection,
    /// What the application does with each event.
    app: App,
    cut: usize,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    pub(crate) client_seen: Vec<Seen>,
    pub(crate) server_seen: Vec<Seen>,
}

impl Pair {
    /// Both sides with room for 16 requests on a kept connection, and an application that echoes.
    pub(crate) fn new(cut: usize) -> Self {
        let many = 16.try_into().expect("not zero");
        Self::with(
            cut,
            client::Config::default().keep_conn(true).max_requests(many),
            server::Config::default(),
            echo,
        )
    }

    pub(crate) fn with(
        cut: usize,
        client: client::Config,
        server: server::Config,
        app: impl FnMut(&mut server::Connection, &server::Event<'_>) + 'static,
    ) -> Self {
        Self {
            client: client::Connection::new(client),
            server: server::Connection::new(server),
            app: Box::new(app),
            cut,
            to_client: Vec::new(),
            to_server: Vec::new(),
            client_seen: Vec::new(),
            server_seen: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, params: &[(&str, &str)]) -> RequestKey {
        self.begin_role(Role::Responder, params)
    }

    pub(crate) fn begin_role(&mut self, role: Role, params: &[(&str, &str)]) -> RequestKey {
        self.client.begin(role, params.iter().copied()).expect("the request may begin")
    }

    /// The whole body and its end, writing whenever the client is blocked.
    pub(crate) fn send_body(&mut self, key: RequestKey, body: &[u8]) {
        for part in body.chunks(10_000) {
            while self.request(key).stdin_slice(part) == Err(SendError::Blocked) {
                assert!(self.step(), "the client is blocked and nothing moves");
            }
        }
        self.request(key).finish().expect("the body ends once");
    }

    pub(crate) fn request(&mut self, key: RequestKey) -> client::Request<'_> {
        self.client.request(key).expect("the request is open")
    }

    /// Moves bytes both ways until nothing moves any more.
    pub(crate) fn drive(&mut self) {
        while self.step() {}
        assert!(!self.client.has_outgoing() && !self.server.has_outgoing(), "all was written");
        assert!(self.to_client.is_empty() && self.to_server.is_empty(), "all was read");
    }

    /// Moves at most one piece each way; whether anything moved.
    pub(crate) fn step(&mut self) -> bool {
        let mut has_moved = false;
        if self.to_server.is_empty() && self.server.wants_read() {
            self.to_server = self.client.take_output(self.cut);
            has_moved |= !self.to_server.is_empty();
        }
        has_moved |= self.feed_server();
        if self.to_client.is_empty() && self.client.wants_read() {
            self.to_client = self.server.take_output(self.cut);
            has_moved |= !self.to_client.is_empty();
        }
        self.feed_client();
        has_moved
    }

    /// What the client has seen of one request, in order.
    pub(crate) fn client_seen_of(&self, key: RequestKey) -> Vec<Seen> {
        of(&self.client_seen, key.request_id())
    }

    pub(crate) fn server_seen_of(&self, key: RequestKey) -> Vec<Seen> {
        of(&self.server_seen, key.request_id())
    }

    fn feed_server(&mut self) -> bool {
        let mut input = &self.to_server[..];
        let mut has_moved = false;
        while let Some(event) = honest(self.server.poll_event(&mut input)) {
            note(&mut self.server_seen, server_seen(&event));
            (self.app)(&mut self.server, &event);
            has_moved = true;
        }
        let used = self.to_server.len() - input.len();
        self.to_server.drain(..used);
        has_moved || used > 0
    }

    fn feed_client(&mut self) {
        let mut input = &self.to_client[..];
        while let Some(event) = honest(self.client.poll_event(&mut input)) {
            note(&mut self.client_seen, client_seen(&event));
        }
        assert!(input.is_empty(), "the client takes all of its input");
        self.to_client.clear();
    }
}

/// An honest peer is never refused.
fn honest<T>(result: Result<T, ProtocolError>) -> T {
    result.expect("both sides keep to the protocol")
}

fn of(seen: &[Seen], id: u16) -> Vec<Seen> {
    let mut merged = Vec::new();
    for event in seen.iter().filter(|event| event.id() == Some(id)) {
        note(&mut merged, event.clone());
    }
    merged
}

/// Sends stdin back as stdout, and ends with it.
pub(crate) fn echo(conn: &mut server::Connection, event: &server::Event<'_>) {
    let (key, data, is_end) = match *event {
        server::Event::Stdin { key, data } => (key, data, false),
        server::Event::StdinEnd { key } | server::Event::Aborted { key } => (key, &b""[..], true),
        _ => return,
    };
    let Some(mut response) = conn.response(key) else { return };
    response.stdout_slice(data).expect("input comes only while output has room");
    if is_end {
        response.end(0);
    }
}
