//! How a gateway is set up.

mod build;

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcgi_proto::AddressError;
use fcgi_proto::cgi::{PhpSettings, TrustedProxies};
use fcgi_tokio::{Address, PoolConfig};

use crate::inbound::Inbound;
use crate::memory::Memory;
use crate::observe::{Identify, Observer, TraceContext};
use crate::proxy::{Disk, ReadAhead, Variables};
use crate::root::Symlinks;
use crate::routing::Rules;
use crate::upstream::{HealthCheck, Resolve, SystemResolver};

pub use self::build::BuildError;

/// Settings of a [`Gateway`](crate::Gateway) to come; see [`Gateway::builder`](crate::Gateway::builder) and
/// [`Gateway::to_application`](crate::Gateway::to_application).
#[must_use = "nothing is served until `build`"]
pub struct Builder {
    root: Option<PathBuf>,
    addresses: Vec<Address>,
    bad_address: Option<AddressError>,
    pool: PoolConfig,
    resolver: Arc<dyn Resolve>,
    resolve_interval: Duration,
    health: Option<HealthCheck>,
    accel: Vec<(String, PathBuf)>,
    sendfile: Vec<PathBuf>,
    observers: Vec<Arc<dyn Observer>>,
    identify: Identify,
    trace: TraceContext,
    is_development: bool,
    rules: Rules,
    follow_root: bool,
    symlinks: Symlinks,
    variables: Variables,
    timeout: Option<Duration>,
    inbound: Inbound,
    read_ahead: ReadAhead,
    compresses: bool,
    trusted_proxies: Option<TrustedProxies>,
    server_software: String,
}

impl Builder {
    pub(crate) fn new(root: Option<&Path>) -> Self {
        Self {
            root: root.map(Path::to_owned),
            addresses: Vec::new(),
            bad_address: None,
            pool: default_pool(),
            resolver: Arc::new(SystemResolver),
            resolve_interval: Duration::from_secs(5),
            health: None,
            accel: Vec::new(),
            sendfile: Vec::new(),
            observers: Vec::new(),
            identify: Identify::On,
            trace: TraceContext::PassOn,
            is_development: false,
            rules: Rules::default(),
            follow_root: false,
            symlinks: Symlinks::default(),
            variables: Variables::default(),
            timeout: Some(Duration::from_secs(60)),
            inbound: Inbound::default(),
            read_ahead: ReadAhead::default(),
            compresses: false,
            trusted_proxies: None,
            server_software: SERVER_SOFTWARE.to_owned(),
        }
    }

    /// Where the application listens: PHP-FPM, or another FastCGI application. Takes an [`Address`], or text such as
    /// `127.0.0.1:9000` and `unix:/run/php/php-fpm.sock`.
    ///
    /// Called several times, requests are spread over all addresses: each goes to the less busy of two picked at random,
    /// and an address that cannot be connected to is left alone for a while. A name is looked up again and again, and
    /// stands for every address found; see [`resolve_interval`](Self::resolve_interval).
    pub fn fpm<A>(mut self, address: A) -> Self
    where
        A: TryInto<Address>,
        A::Error: Into<AddressError>,
    {
        match address.try_into() {
            Ok(address) => self.addresses.push(address),
            Err(error) => self.bad_address = Some(error.into()),
        }
        self
    }

    /// How connections to the application are kept and shared out, and how long requests wait for one; a request that
    /// waits too long, or finds too many others waiting, gets a 503.
    ///
    /// Default: up to 128 connections to each address, of which 4 may idle for 2 s, the others for the 20 ms that the next
    /// request may take to come, and 1024 requests in the queue for up to 5 s. Each idle connection occupies a worker of php-fpm, and the gateway gives it up as soon as one of its own
    /// requests may need that worker; other programs that use the same php-fpm wait for up to those 2 s. Let more idle
    /// where nobody else uses it, and none ([`max_idle(0)`](PoolConfig::max_idle)) where workers are few and shared. See
    /// [`fcgi_proto::pool`].
    pub fn pool(mut self, config: PoolConfig) -> Self {
        self.pool = config;
        self
    }

    /// How often the names among the addresses are looked up again, while requests come. Default: 5 s, as Kubernetes lets
    /// its answers be kept. An address that cannot be connected to is a reason to look at once.
    pub fn resolve_interval(mut self, interval: Duration) -> Self {
        self.resolve_interval = interval;
        self
    }

    /// Who looks names up. Default: the operating system.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Asks every address from time to time, and leaves out those that do not answer. Default: none are asked.
    pub fn health_check(mut self, check: impl Into<Option<HealthCheck>>) -> Self {
        self.health = check.into();
        self
    }

    /// Lets scripts have files of a folder sent by `X-Accel-Redirect: /prefix/path/below/folder`, as with an internal
    /// location of nginx. May be called for several prefixes; the longest that fits counts. Default: none, and the header
    /// does nothing; it never reaches a client either way.
    ///
    /// The file is sent with the headers of the script, which decides about `Content-Type` and caching, but for those that
    /// describe the body. Dotfiles and scripts are sent as well: the folder should lie outside the document root. A path
    /// that leads elsewhere is answered with 500, and a file that is not there with 404.
    pub fn accel_redirect(mut self, prefix: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        self.accel.push((prefix.into(), folder.into()));
        self
    }

    /// Lets scripts have files of a folder sent by `X-Sendfile: /path/of/file`, as with lighttpd and Apache's
    /// mod_xsendfile. May be called for several folders. Default: none. For the rest see
    /// [`accel_redirect`](Self::accel_redirect).
    pub fn sendfile(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sendfile.push(folder.into());
        self
    }

    /// Tells somebody what goes on, besides those who are told already; see [`observe`](crate::observe).
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Whether requests are given an id, which the application sees as HTTP_X_REQUEST_ID, the client in the answer's
    /// `X-Request-Id`, and people in the log. Default: yes. One that came with the request counts only when a
    /// [trusted](crate::Connection::trusted) proxy sent it.
    pub fn request_ids(mut self, are_given: bool) -> Self {
        self.identify = if are_given { Identify::On } else { Identify::Off };
        self
    }

    /// Whether a request without a `traceparent` begins a trace (W3C Trace Context), marked to be recorded. Default: no.
    /// One that came is passed on either way, unless it is malformed.
    pub fn begin_traces(mut self, are_begun: bool) -> Self {
        self.trace = if are_begun { TraceContext::Begin } else { TraceContext::PassOn };
        self
    }

    /// Whether the gateway's own error pages tell the cause, the last lines of the application's error output, and what to
    /// do. Default: no. They name paths and addresses: never for the public.
    pub fn development(mut self, is_on: bool) -> Self {
        self.is_development = is_on;
        self
    }

    /// The only name that is tried in a folder; when it is a script that lies in the document root, it is also the front
    /// controller. Default: `index.php`, then `index.html`. See [`Rules::index`] for several names.
    pub fn index(self, name: impl Into<String>) -> Self {
        self.rules(Rules::default().index([name.into()]))
    }

    /// All settings of the routing.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Where the application sees the document root, when that is another path than ours: in a container, on another
    /// machine, in a chroot. DOCUMENT_ROOT and SCRIPT_FILENAME are made of it. Default: the document root, links resolved.
    ///
    /// Scripts are still looked for in the document root, so both must hold the same files.
    pub fn application_root(mut self, path: impl Into<PathBuf>) -> Self {
        self.variables.root = Some(path.into());
        self
    }

    /// Resolves the links in the path of the document root with every request, not once at the start. Default: no.
    ///
    /// For deployments that swap a link to a new release: each request sees one release from its first file to its last,
    /// and PHP, which remembers scripts by their real path, the new one from its first request on. Costs a few
    /// microseconds each.
    pub fn follow_root(mut self, follow: bool) -> Self {
        self.follow_root = follow;
        self
    }

    /// Which symbolic links below the document root are followed, and below the folders that scripts may name files in.
    /// Default: [`Symlinks::OwnerMatch`].
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = symlinks;
        self
    }

    /// Sets a variable that the application gets with every request, in place of what it would be.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.changes.push((name.into(), Some(value.into())));
        self
    }

    /// Leaves out a variable that the application would get, such as `HTTP_ACCEPT_ENCODING`.
    pub fn unset_param(mut self, name: impl Into<String>) -> Self {
        self.variables.changes.push((name.into(), None));
        self
    }

    /// Settings of php.ini that are sent with every request. Read at [`PhpSettings`] what PHP-FPM does with them
    /// afterwards: it keeps them for whatever its process serves next.
    pub fn php_settings(mut self, settings: PhpSettings) -> Self {
        self.variables.php_settings = settings;
        self
    }

    /// How long the application may make no progress: accept a connection, take more of the body, begin its answer, or
    /// send more of it. Before the head of the answer the client then gets a 504, later a visibly cut response.
    /// Default: 60 s. `None` or zero waits for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How much of a request body of unknown length is kept in memory before a temporary file is used, in bytes.
    /// Default: 256 KiB. Each such request may take that much, as long as there is [`body_memory`](Self::body_memory).
    pub fn spool_memory(mut self, bytes: usize) -> Self {
        self.inbound.in_memory = bytes;
        self
    }

    /// How long a request body of unknown length may be, in bytes; more is answered with 413. Default: 128 MiB.
    ///
    /// Bodies that announce their length are streamed and need no space here; see [`max_body`](Self::max_body).
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.inbound.spool_limit = bytes;
        self
    }

    /// How long a client may send nothing in the middle of a request body, before it gets a 408. Default: 30 s; nginx's
    /// `client_body_timeout` is 60 s. `None` or zero waits for ever.
    ///
    /// Shorter than [`timeout`](Self::timeout), or a client that stalls is taken for an application that does.
    pub fn body_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.inbound.timeout = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// How much memory there is for request bodies that are received before the application is asked, in bytes, for all of
    /// this gateway's requests together: those of up to 64 KiB, and the first 256 KiB of those of unknown length. Default:
    /// 2 MiB. Where there is no room left, short ones are passed on as they come, as longer ones are, and those of unknown
    /// length go on in a temporary file.
    pub fn body_memory(mut self, bytes: usize) -> Self {
        self.inbound.set_memory(bytes);
        self
    }

    /// How much of an answer is kept in memory for a client that is slow to take it, in bytes. Default: 1 MiB; the rest goes to
    /// a temporary file. Zero reads no more than the client takes.
    ///
    /// A worker of php-fpm is busy until all that its script wrote was taken. A client is slow when it has taken nothing for
    /// 100 ms; others get each piece as it comes, and nothing is kept for them. Answers with `X-Accel-Buffering: no` are not
    /// read ahead. Long files are better named by the script than sent by it ([`accel_redirect`](Self::accel_redirect)).
    pub fn response_buffer(mut self, bytes: usize) -> Self {
        self.read_ahead.limit = bytes;
        self
    }

    /// How much memory there is for what is read ahead of slow clients, in bytes, for all of this gateway's answers together.
    /// Default: 32 MiB. Where it is full, temporary files take their place.
    pub fn response_memory(mut self, bytes: usize) -> Self {
        self.read_ahead.memory = Memory::new(bytes);
        self
    }

    /// How much of what is read ahead of slow clients may be in temporary files, in bytes, for all of this gateway's answers
    /// together. Default: 1 GiB; nginx takes that for each. Where there is no more room, answers are read as their clients take them.
    pub fn response_disk(mut self, bytes: u64) -> Self {
        self.read_ahead.disk = Disk::new(bytes);
        self
    }

    /// How many request bodies of unknown length may be on their way at once; more are answered with 503. Default: 256.
    /// Zero refuses them all.
    pub fn max_spools(mut self, bodies: usize) -> Self {
        self.inbound.set_max_spools(bodies);
        self
    }

    /// How long a request body that announces its length may be, in bytes; more is answered with 413 before anything of it
    /// is read. Default: `None`, as how long it may be is for the application to say (`post_max_size` of PHP).
    pub fn max_body(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.inbound.limit = bytes.into();
        self
    }

    /// How fast a request body must come, in bytes per second on the average of 30 s; a slower client gets a 408. Only time
    /// spent waiting for the client counts. Default: 500, as Apache's RequestReadTimeout. Zero lets clients be slow.
    ///
    /// A longer body is streamed to a worker of the application, which serves nobody else meanwhile: a client that sends a
    /// byte now and then must not hold it.
    pub fn min_body_rate(mut self, bytes_per_second: u32) -> Self {
        self.inbound.min_rate = bytes_per_second;
        self
    }

    /// Whether bodies that announce their length are handed to the application as they come, once they are longer than
    /// 64 KiB. Default: yes. With `false` they are received in full first, in memory and then in a temporary file: slow
    /// uploads then hold no worker at all, at the price of the disk, as with nginx. [`max_body`](Self::max_body) is then
    /// the limit of the space that each takes, and [`spool_limit`](Self::spool_limit) where it is not set.
    pub fn stream_bodies(mut self, stream: bool) -> Self {
        self.inbound.stream = stream;
        self
    }

    /// Whether answers are compressed for clients that ask for it, with gzip, Brotli or Zstandard. Default: no.
    ///
    /// Text, JSON, XML, scripts, fonts and the like are, from 256 bytes on. What a script flushes still reaches the client
    /// at once. Left alone are answers with `X-Accel-Buffering: no`, server-sent events, images, parts of a file, what is
    /// compressed already, and what `Cache-Control: no-transform` or a digest keeps from being changed. A strong `ETag`
    /// becomes a weak one.
    ///
    /// **Compression tells secrets**: who can make a visitor's browser send requests, and sees how long the answers are, can
    /// guess what is in a page that also shows a part of the request ([BREACH]), such as a token against forged forms. Say
    /// yes where pages with secrets do not show what came with the request, or mask their tokens anew each time.
    ///
    /// [BREACH]: https://www.breachattack.com/
    pub fn compress(mut self, compresses: bool) -> Self {
        self.compresses = compresses;
        self
    }

    /// Whose word counts about the client's address, scheme and host, when the server itself is behind a proxy; see
    /// [`fcgi_proto::cgi::proxies`]. Their clients cannot send such headers past them then. Default: nobody's, and
    /// `X-Forwarded-For` and the like reach the application as the headers they are.
    ///
    /// ```
    /// use fcgi_gateway::Gateway;
    /// use fcgi_proto::cgi::TrustedProxies;
    ///
    /// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?]);
    /// let gateway = Gateway::builder(".").fpm("127.0.0.1:9000").trusted_proxies(proxies).build()?;
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = Some(proxies);
        self
    }

    /// What scripts see as SERVER_SOFTWARE. Default: `fcgi-gateway/0.1.0 (like nginx)`.
    ///
    /// WordPress offers permalinks without `index.php` only to servers it knows, by a part of this name.
    pub fn server_software(mut self, name: impl Into<String>) -> Self {
        self.server_software = name.into();
        self
    }
}

/// The settings that [`Builder::pool`] replaces, as a place to start from.
#[must_use]
pub fn default_pool() -> PoolConfig {
    PoolConfig::default().max_connections(128).max_idle(4).idle_timeout(Duration::from_secs(2))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("root", &self.root)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

const SERVER_SOFTWARE: &str = concat!("fcgi-gateway/", env!("CARGO_PKG_VERSION"), " (like nginx)");
