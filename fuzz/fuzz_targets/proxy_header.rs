//! Any bytes as the beginning of a connection from a balancer: no panic, never more bytes than a header has, and the same address
//! however the bytes are cut.
#![no_main]

use chatd::tcp::proxy_header::{LONGEST, Step, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut read = 0;
    // As the listener reads: so many bytes as may belong to the header, or fewer.
    loop {
        match parse(&bytes[..read]) {
            Ok(Step::More(more)) => {
                assert!(more > 0 && read + more <= LONGEST);
                if read == bytes.len() {
                    return;
                }
                read = bytes.len().min(read + more);
            }
            Ok(Step::Done(address)) => {
                assert!(read <= LONGEST);
                assert_eq!(parse(&bytes[..read]), Ok(Step::Done(address)));
                // No shorter beginning was a header.
                assert!((0..read).all(|shorter| matches!(parse(&bytes[..shorter]), Ok(Step::More(_)))));
                return;
            }
            Err(_) => return,
        }
    }
});
