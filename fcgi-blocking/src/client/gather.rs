use std::iter::FusedIterator;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use fcgi_proto::Error;
use fcgi_proto::cgi::FullResponse;

use super::{Pool, Request};

type Outcome = (usize, Result<FullResponse, Error>);

impl Pool {
    /// Sends many requests at once and gives all results, in the order of the requests. One failure does not harm the rest.
    ///
    /// As many threads work on them as requests may be under way by the [`PoolConfig`](crate::PoolConfig), so that those of one
    /// list do not wait in the queue for each other.
    ///
    /// ```no_run
    /// # fn f(pool: fcgi_blocking::Pool) {
    /// use fcgi_blocking::Request;
    ///
    /// let pages = ["/srv/a.php", "/srv/b.php"].map(Request::get);
    /// for result in pool.join_ordered(pages) {
    ///     match result {
    ///         Ok(page) => println!("{} bytes", page.body().len()),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn join_ordered(
        &self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Vec<Result<FullResponse, Error>> {
        let completed = self.as_completed(requests);
        let mut results: Vec<_> = Vec::new();
        results.resize_with(completed.len(), || None);
        for (index, result) in completed {
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }

    /// Sends many requests at once and gives each result as it comes, with the index of its request.
    ///
    /// Dropping the iterator sends no more; requests under way go on to their end, unheard.
    #[must_use = "dropping it sends no more"]
    pub fn as_completed(&self, requests: impl IntoIterator<Item = Request>) -> AsCompleted {
        let requests: Vec<_> = requests.into_iter().enumerate().collect();
        let left = requests.len();
        let queue = Arc::new(Mutex::new(requests.into_iter()));
        let (sender, receiver) = channel();
        for _ in 0..left.min(self.max_in_flight()) {
            let (pool, queue, results) = (self.clone(), Arc::clone(&queue), sender.clone());
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let work = move || {
                while let Some((index, request)) = next() {
                    if results.send((index, pool.call(request))).is_err() {
                        return;
                    }
                }
            };
            // Fewer threads do as well, and with none at all the results say so.
            if thread::Builder::new().name("fcgi-call".to_owned()).spawn(work).is_err() {
                break;
            }
        }
        AsCompleted { receiver, queue, left }
    }
}

/// The results of many requests; from [`Pool::as_completed`].
#[derive(Debug)]
pub struct AsCompleted {
    receiver: Receiver<Outcome>,
    queue: Arc<Mutex<std::vec::IntoIter<(usize, Request)>>>,
    left: usize,
}

/// Waits for each.
impl Iterator for AsCompleted {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        self.left = self.left.checked_sub(1)?;
        self.receiver.recv().ok().or_else(|| {
            // Nobody works on it: there is no thread to be had.
            let (index, _) = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next()?;
            Some((index, Err(lost())))
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for AsCompleted {}
impl FusedIterator for AsCompleted {}

impl Drop for AsCompleted {
    fn drop(&mut self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new().into_iter();
    }
}

/// The error of a request that no thread could be started for.
fn lost() -> Error {
    Error::io(std::io::ErrorKind::OutOfMemory.into())
}
