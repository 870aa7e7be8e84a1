//! A batch does what a write each would do: same bytes, same counts, same errors, on real sockets.

use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use aio::WriteBatch;
use proptest::prelude::*;

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("socket pair");
    near.set_nonblocking(true).expect("non-blocking");
    far.set_nonblocking(true).expect("non-blocking");
    (near, far)
}

fn batched() -> WriteBatch {
    let (batch, refused) = WriteBatch::new();
    assert!(batch.is_batched(), "this kernel has no AIO context for us: {refused:?}");
    batch
}

fn read_all(socket: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    bytes
}

/// What came of a write, as it can be compared: the bytes written, or the error's number.
type Outcome = Result<usize, Option<i32>>;

fn outcomes(results: &[io::Result<usize>]) -> Vec<Outcome> {
    results
        .iter()
        .map(|result| match result {
            Ok(count) => Ok(*count),
            Err(error) => Err(error.raw_os_error()),
        })
        .collect()
}

/// What a socket of the property is like before the batch.
#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    Full,
    Closed,
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![4 => Just(State::Open), 1 => Just(State::Full), 1 => Just(State::Closed)]
}

/// Sends `messages`, each to the socket of its number, by `batch`; what came of it, and what each socket's reader got.
fn run(batch: &mut WriteBatch, states: &[State], messages: &[(usize, Vec<u8>)]) -> (Vec<Outcome>, Vec<Vec<u8>>) {
    let mut near = Vec::new();
    let mut far = Vec::new();
    for state in states {
        let (writer, reader) = pair();
        if matches!(state, State::Full) {
            let filler = vec![0; 65_536];
            while rustix::io::write(&writer, &filler).is_ok() {}
        }
        near.push(writer);
        far.push((!matches!(state, State::Closed)).then_some(reader));
    }
    let writes: Vec<(BorrowedFd<'_>, &[u8])> =
        messages.iter().map(|(socket, bytes)| (near[socket % near.len()].as_fd(), &bytes[..])).collect();
    let mut results = Vec::new();
    batch.write(writes, &mut results);
    let received = far.iter_mut().map(|reader| reader.as_mut().map(read_all).unwrap_or_default()).collect();
    (outcomes(&results), received)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_has_the_results_of_a_write_each(
        states in prop::collection::vec(state(), 1..8),
        messages in prop::collection::vec((any::<usize>(), prop::collection::vec(any::<u8>(), 1..3000)), 0..40),
    ) {
        let together = run(&mut batched(), &states, &messages);
        let alone = run(&mut WriteBatch::one_by_one(), &states, &messages);
        prop_assert_eq!(together.0.len(), messages.len());
        prop_assert_eq!(together, alone);
    }
}

#[test]
fn more_writes_than_one_call_carries_go_in_several() {
    let mut batch = batched();
    let (near, mut far) = pair();
    let bytes: Vec<[u8; 4]> = (0..3 * WriteBatch::CAPACITY as u32 + 7).map(u32::to_be_bytes).collect();
    let mut results = Vec::new();
    // Twice: the ring's head and tail pass its end.
    for _ in 0..2 {
        batch.write(bytes.iter().map(|bytes| (near.as_fd(), &bytes[..])), &mut results);
        // Each of them leaves a buffer of its own in the socket, which may fill it before its bytes do.
        let written = results.iter().take_while(|result| matches!(result, Ok(4))).count();
        assert!(
            results[written..]
                .iter()
                .all(|result| matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock))
        );
        assert_eq!(results.len(), bytes.len());
        assert!(written > WriteBatch::CAPACITY / 2, "{written} written");
        assert_eq!(read_all(&mut far), bytes[..written].concat());
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_to_fails_alone() {
    let mut batch = batched();
    let (near, mut far) = pair();
    let (reader, _writer) = rustix::pipe::pipe().expect("pipe");
    let mut results = Vec::new();
    let writes: [(BorrowedFd<'_>, &[u8]); 4] =
        [(near.as_fd(), b"a"), (reader.as_fd(), b"never"), (near.as_fd(), b"b"), (near.as_fd(), b"c")];
    batch.write(writes, &mut results);
    assert_eq!(outcomes(&results), [Ok(1), Err(Some(rustix::io::Errno::BADF.raw_os_error())), Ok(1), Ok(1)]);
    assert_eq!(read_all(&mut far), b"abc");
}

#[test]
fn a_tcp_socket_takes_what_it_has_room_for() {
    let mut batch = batched();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listener");
    let far = TcpStream::connect(listener.local_addr().expect("address")).expect("connection");
    let (near, _) = listener.accept().expect("accepted");
    near.set_nonblocking(true).expect("non-blocking");
    let bytes = vec![7; 64 << 20];
    let mut results = Vec::new();
    batch.write([(near.as_fd(), &bytes[..]), (near.as_fd(), &bytes[..1])], &mut results);
    let written = *results[0].as_ref().expect("some of it");
    assert!(written > 0 && written < bytes.len(), "{written} of {}", bytes.len());
    assert_eq!(results[1].as_ref().map_err(io::Error::kind), Err(ErrorKind::WouldBlock));
    drop(far);
}

#[test]
fn contexts_are_given_back() {
    // More than fs.aio-max-nr allows at once by its default. Each takes the kernel some 40 ms to take away, so in parallel.
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| (0..10).for_each(|_| drop(batched())));
        }
    });
}

#[test]
fn nothing_to_write_is_no_system_call_and_no_result() {
    let mut results = vec![Ok(1)];
    batched().write([], &mut results);
    assert!(results.is_empty());
}
