//! Many requests on one connection, of all sizes, some of them aborted: none is mixed up with another, and none hangs.

use std::io;

use fcgi_blocking::server::{Request, Server};
use fcgi_proto::RequestKey;

use crate::peer::pipe;

/// Answers with the body, if it comes whole, behind the name of the request.
fn named_echo(mut request: Request) -> io::Result<u32> {
    let name = request.param("NAME").unwrap_or_default().to_owned();
    request.stdout.write(format!("{name}:"))?;
    while let Some(chunk) = request.stdin.chunk()? {
        request.stdout.write(chunk)?;
    }
    Ok(0)
}

/// A request under way.
struct Sent {
    key: RequestKey,
    name: String,
    left: Vec<u8>,
    all: Vec<u8>,
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

#[test]
fn none_is_mixed_up_with_another() {
    const REQUESTS: usize = 800;
    for seed in 1..=2 {
        let mut numbers = Numbers(seed);
        let mut peer = pipe(Server::new(named_echo), 1 << 16, true);
        let mut sent: Vec<Sent> = Vec::new();
        let mut begun = 0;
        while begun < REQUESTS || !sent.is_empty() {
            if begun < REQUESTS && sent.len() < 20 {
                begun += 1;
                let name = format!("request {begun}");
                let len = [0, 10, 3000, 70_000, 200_000][numbers.below(5)];
                let all = vec![b'a' + u8::try_from(begun % 26).expect("small"); len];
                let key = peer.begin(&[("NAME", &name)]);
                sent.push(Sent { key, name, left: all.clone(), all });
                continue;
            }
            let index = numbers.below(sent.len());
            let request = &mut sent[index];
            let key = request.key;
            match (request.left.is_empty(), numbers.below(100)) {
                (_, 0..5) => {
                    peer.abort(key);
                    let answer = peer.answer(key);
                    assert!(answer.stdout.is_empty() || answer.stdout.starts_with(b"request "));
                    sent.swap_remove(index);
                }
                (false, _) => {
                    let count = request.left.len().min(1 + numbers.below(40_000));
                    let piece: Vec<u8> = request.left.drain(..count).collect();
                    peer.send(key, &piece);
                }
                (true, _) => {
                    let request = sent.swap_remove(index);
                    peer.finish(key);
                    let answer = peer.answer(key);
                    let expected = [request.name.as_bytes(), b":", &request.all].concat();
                    assert!(answer.stdout == expected, "{}", request.name);
                }
            }
        }
    }
}
