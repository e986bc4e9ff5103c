//! A warm response decoder allocates nothing, neither for the head nor for the body.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use fcgi_proto::cgi::{Piece, ResponseDecoder};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads a response cut into pieces; how many bytes of body came and how many header bytes were looked at.
fn read(decoder: &mut ResponseDecoder, output: &[u8], cut: usize) -> (usize, usize) {
    let (mut body, mut head) = (0, 0);
    for mut input in output.chunks(cut) {
        while let Some(piece) = decoder.poll(&mut input).expect("a response") {
            match piece {
                Piece::Head => {
                    let fields = decoder.head().expect("a head").headers();
                    head += fields.map(|(name, value)| name.len() + value.len()).sum::<usize>();
                }
                Piece::Body(data) => body += data.len(),
            }
        }
    }
    decoder.finish().expect("a whole response");
    decoder.reset();
    (body, head)
}

#[test]
fn none_once_warm() {
    let mut output =
        b"Status: 200 OK\r\nX-Powered-By: PHP/8.2\r\nContent-Type: text/html\r\n".to_vec();
    for number in 0..50 {
        output
            .extend_from_slice(format!("Set-Cookie: cookie-{number}=value; path=/\r\n").as_bytes());
    }
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(&[b'x'; 100_000]);
    let mut decoder = ResponseDecoder::new();
    let first = read(&mut decoder, &output, 8184);
    let before = COUNT.get();
    for cut in [1, 7, 100, 8184, usize::MAX] {
        assert_eq!(read(&mut decoder, &output, cut), first, "cut {cut}");
    }
    assert_eq!(COUNT.get() - before, 0, "allocations");
}

/// A head that was taken away and is given back is memory for the next.
#[test]
fn a_head_that_comes_back_is_used_again() {
    let output = b"Status: 200 OK\r\nContent-Type: text/html\r\n\r\n";
    let mut decoder = ResponseDecoder::new();
    let read = |decoder: &mut ResponseDecoder| {
        let before = COUNT.get();
        let mut input = &output[..];
        assert_eq!(decoder.poll(&mut input), Ok(Some(Piece::Head)));
        let head = decoder.take_head().expect("it is complete");
        assert_eq!(head.status(), 200);
        decoder.reset();
        (head, COUNT.get() - before)
    };
    let (head, count) = read(&mut decoder);
    assert!(count > 0, "the first time takes memory");
    decoder.recycle(head);
    let (head, count) = read(&mut decoder);
    assert_eq!(count, 0, "the second has that of the first");
    drop(head);
    assert!(read(&mut decoder).1 > 0, "it was taken away");
    // What is there already is kept.
    let (head, _) = read(&mut decoder);
    let (other, _) = read(&mut decoder);
    decoder.recycle(head);
    decoder.recycle(other);
    assert_eq!(read(&mut decoder).1, 0);
}
