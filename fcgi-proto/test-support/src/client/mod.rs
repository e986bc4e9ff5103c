//! Tests of a client that are the same for every adapter.
//!
//! The peers are threads and real servers, and an adapter is called through [`Adapter`] and [`Pooled`], which block: an
//! asynchronous one waits for its futures inside. [`client_tests`](crate::client_tests),
//! [`pool_tests`](crate::pool_tests) and [`shared_connection_tests`](crate::shared_connection_tests) make a `#[test]` of each
//! for one adapter, and there is no way to leave one out.

pub mod peer;

#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod again;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod faults;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod php;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod pools;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod promises;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod real;
#[expect(missing_docs, reason = "a test's name says what it shows")]
pub mod scripts;
mod site;
pub mod soak;

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;
use fcgi_proto::pool::{Config, Snapshot};
use fcgi_proto::{Address, BodyLen, Error, Request, Timeouts};

/// The client under test.
pub trait Adapter {
    /// Its request bodies.
    type Body: BodyLen
        + Default
        + From<Bytes>
        + From<String>
        + From<Vec<u8>>
        + From<&'static str>
        + Send;
    /// Its responses.
    type Response: Response;

    /// A body that is read from this, with its length where that is known.
    fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Self::Body;

    /// `Client::connect`.
    ///
    /// # Errors
    /// As there.
    fn connect(address: &str) -> Result<(), Error>;

    /// The function `call`.
    ///
    /// # Errors
    /// As there.
    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error>;

    /// `Client::call`.
    ///
    /// # Errors
    /// As there.
    fn call(client: &Client, request: Request<Self::Body>) -> Result<FullResponse, Error>;

    /// `Client::execute`.
    ///
    /// # Errors
    /// As there.
    fn execute(client: &Client, request: Request<Self::Body>) -> Result<Self::Response, Error>;
}

/// The pool of an adapter under test.
pub trait Pooled: Adapter {
    /// Its pool.
    type Pool: Clone + Send + Sync + 'static;

    /// `Pool::new`.
    fn pool(addresses: Vec<Address>, config: Config, timeouts: Timeouts) -> Self::Pool;

    /// `Pool::call`.
    ///
    /// # Errors
    /// As there.
    fn pool_call(pool: &Self::Pool, request: Request<Self::Body>) -> Result<FullResponse, Error>;

    /// `Pool::execute`.
    ///
    /// # Errors
    /// As there.
    fn pool_execute(
        pool: &Self::Pool,
        request: Request<Self::Body>,
    ) -> Result<Self::Response, Error>;

    /// Begins a request, and drops what there is of it after this time: the future, the response, or the body.
    fn pool_cancel(pool: &Self::Pool, request: Request<Self::Body>, after: Duration);

    /// `Pool::join_ordered`.
    fn join_ordered(
        pool: &Self::Pool,
        requests: Vec<Request<Self::Body>>,
    ) -> Vec<Result<FullResponse, Error>>;

    /// `Pool::as_completed`, all of it.
    fn as_completed(
        pool: &Self::Pool,
        requests: Vec<Request<Self::Body>>,
    ) -> Vec<(usize, Result<FullResponse, Error>)>;

    /// The pool's figures.
    fn snapshot(pool: &Self::Pool) -> Snapshot;
}

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the application listens.
    pub address: Address,
    /// Its limits.
    pub timeouts: Timeouts,
}

impl Client {
    /// With the default limits.
    ///
    /// # Panics
    /// When the text is no address.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let address = address.parse().expect("an address");
        Self { address, timeouts: Timeouts::default() }
    }

    /// With other limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }
}

/// A response under way.
#[expect(missing_docs, reason = "those of each adapter's responses")]
#[expect(clippy::missing_errors_doc, reason = "those of each adapter's responses")]
pub trait Response {
    fn status(&self) -> u16;
    fn chunk(&mut self) -> Result<Option<Bytes>, Error>;
    fn collect(self, limit: usize) -> Result<FullResponse, Error>;
    fn stderr(&mut self) -> &[u8];
    fn stderr_dropped(&mut self) -> u64;
    fn end(&mut self) -> Option<End>;
}

/// Reads to the end or the error, without keeping the body.
pub(crate) fn drain(response: &mut impl Response) -> (u64, Result<(), Error>) {
    let mut count = 0;
    loop {
        match response.chunk() {
            Ok(Some(chunk)) => count += chunk.len() as u64,
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
    }
}

/// Makes a `#[test]` of every shared test of a client.
#[macro_export]
macro_rules! client_tests {
    ($adapter:ty) => {
        $crate::tests! { $adapter, faults:
            hello,
            a_small_request_is_one_write,
            an_early_answer_and_close_amid_the_upload_is_delivered,
            an_answer_does_not_wait_for_a_body_that_never_comes,
            a_body_may_depend_on_the_response,
            nothing_listens,
            a_host_name_is_resolved,
            the_limit_on_the_whole_holds_while_bytes_flow,
            the_limit_on_the_whole_holds_while_a_body_flows,
            a_slow_first_byte_is_not_an_idle_connection,
            a_body_that_is_not_as_long_as_it_says_is_never_ended,
            a_body_that_fails_is_never_ended,
            a_full_listen_queue_is_waited_for,
            tcp_that_does_not_answer_is_given_up,
        }
        $crate::tests! { $adapter, scripts:
            closing_at_every_byte_is_an_error_and_nothing_else,
            last_words_on_stderr_come_with_the_error,
            refusals_are_typed,
            a_body_shorter_than_announced_is_an_error,
            an_answer_to_another_request_reaches_nobody,
            a_second_end_is_no_second_answer,
            an_answer_before_the_request_is_an_answer,
            a_reset_is_told_as_one,
            a_flood_of_error_output_is_kept_in_bounds,
            a_flood_of_nothing_is_ended,
            garbage_never_hangs_and_never_passes,
            a_peer_that_stops_reading_is_given_up,
            padding_of_any_length_is_skipped,
        }
        $crate::tests! { $adapter, php:
            greeter_in_one_line_over_both_kinds_of_socket,
            greeter_on_php_cgi,
            a_missing_script_is_a_typed_error_that_names_it,
            a_status_of_400_and_above_is_an_error_of_call,
            the_body_0,
            one_mib_arrives_byte_for_byte,
            seventy_kib_of_parameters_in_many,
            a_parameter_that_fits_no_record_is_refused_before_sending,
            ten_mib_come_whole,
            more_than_the_limit_is_not_collected,
            an_answer_before_the_body_is_read,
            upload_and_download_of_32_mib_cross_without_deadlock,
            a_script_that_dies_midway_is_never_taken_for_complete,
            two_sleeping_scripts_take_as_long_as_one,
            stderr_comes_apart,
            a_head_larger_than_a_record,
            repeated_headers_stay,
            pieces_come_as_they_are_flushed,
            a_dropped_response_frees_the_worker,
            ping_page,
        }
        $crate::tests! { $adapter, promises:
            d3_what_was_begun_is_not_sent_again,
            d4_each_limit_fires_and_says_which_it_was,
            d5_dropping_closes_the_connection,
            d7_the_head_and_each_piece_come_when_they_are_there,
            d8_a_hundred_mib_cross_a_hundred_mib,
            d9_a_head_is_bounded_and_may_be_cut_anywhere,
            d10_other_protocols_are_recognised,
            d11_nobody_is_asked_for_values_unless_told_to,
        }
        $crate::tests! { $adapter, real:
            a_libfcgi_application,
            a_go_application,
        }
    };
}

/// Makes a `#[test]` of every shared test of a pool.
#[macro_export]
macro_rules! pool_tests {
    ($adapter:ty) => {
        $crate::tests! { $adapter, pools:
            a_connection_is_kept_and_used_again,
            twelve_calls_of_a_second_on_four_workers_take_three,
            eighty_callers_on_two_workers_all_finish,
            workers_that_end_after_three_requests_are_not_noticed,
            a_reload_is_not_noticed_between_requests,
            a_worker_killed_midway_fails_its_request_alone,
            a_master_killed_midway_fails_what_is_under_way,
            nobody_listens_is_told_to_all_at_once,
            two_addresses_share_the_load_and_one_may_fail,
            a_dead_address_beside_a_busy_one_costs_nobody_an_answer,
            idle_connections_are_closed_in_time,
            late_records_reach_nobody,
            kept_connections_to_other_libraries,
            a_fault_costs_one_connection,
        }
        $crate::tests! { $adapter, promises:
            d1_eighty_callers_on_four_workers_all_finish,
            d2_the_queue_is_bounded_in_length_and_time,
            d3_a_restart_costs_one_dial_and_no_error,
            d5_dropped_requests_leave_every_place_free,
            d6_gathering_keeps_the_order_and_survives_failures,
        }
        $crate::tests! { $adapter, again:
            a_fresh_connection_that_breaks_is_an_error_unless_the_request_is_idempotent,
            an_idempotent_request_is_sent_twice_at_the_most,
            connections_that_were_closed_while_they_idled_are_not_noticed,
        }
        $crate::tests! { $adapter, soak:
            no_answer_goes_astray,
        }
        /// The long form of the test above.
        #[test]
        #[ignore = "slow in a debug build; `./check` runs it optimised"]
        fn no_answer_of_100_000_goes_astray() {
            println!("{:#?}", $crate::client::soak::run::<$adapter>(100_000, 64, None));
        }
    };
}

/// Makes a `#[test]` of every shared test of a pool whose requests can share connections.
#[macro_export]
macro_rules! shared_connection_tests {
    ($adapter:ty) => {
        $crate::tests! { $adapter, pools:
            requests_share_a_connection_to_a_go_application,
        }
        $crate::tests! { $adapter, soak:
            no_answer_goes_astray_on_shared_connections,
        }
        /// The long form of the test above.
        #[test]
        #[ignore = "slow in a debug build; `./check` runs it optimised"]
        fn no_answer_of_100_000_goes_astray_on_shared_connections() {
            let at_once = ::core::num::NonZeroU16::new(32);
            println!("{:#?}", $crate::client::soak::run::<$adapter>(100_000, 64, at_once));
        }
    };
}

/// Makes tests of generic functions.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($adapter:ty, $module:ident: $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::client::$module::$name::<$adapter>();
        }
    )*};
}
