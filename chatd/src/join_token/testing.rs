//! Key pairs for tests, made for them and used for nothing else: no I/O.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

use super::KeySet;

const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEICQgysX529HZufq8p1Y5vm5z4wZmB87MMpMvNVoW9wpm";
const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsTO5jUhgZM/38ys5osJCGt7Ek0t0HRuXPNc7bWjKysShRANCAATu/PGj48QL15\
Kj3zho6CvxYz/HCaW3AQU8mLP0O1azgoVb0fCxiY5oekRMwjfV559G1RsRv7MGwlp5aW1ooqOZ";
const RSA: &str = "MIIEowIBAAKCAQEAqwKJDNsit1ungQ8UmKeLeo/UBtYGpnTF28JLpVCvJOwHjw+XNMuHLhXS0sPIxoiznRX/MxgkYuPCPA9GTBHCes5FxcMSiT\
xY/CZ6LHoYZGqX1Mb6f6CpTqH5Nce6bdLLutWQUgMQRcOzXnsFgtKcuuJscl2UzuSkEt4UEVeAas2WHhWNHuFSk9ScktVuzcWrXTri4peUumnd\
Fw5xjzs3APUBsVnsG/KG9q1yn1WqXZsJXrVF3maiARLj6C0va24BG2wRdL2JTbwTJ1IIlVlE/n41bbpAdoBBdvcM86efYWOKv+R4If0Nsm0BfO\
39s6bmsv0ES9op00ggxx23ryE8RwIDAQABAoIBAAxp/zPxNnh0DVlXlGmug/gON9iVMd9ki7ZzyNUD4er+vV+7xIC/I52LVQYa01jiNJO7NI7r\
ejy5hvCgNTyxb1pF3hfInPBccqM/UdAnvtyPRl1aYnXgXloIdRRb3uM5EbQK69KgSU6fMcayjIheLKV+aVv2Aibwvx5lg7RskzRtgJ1Am5PM6H\
NE5bm9lx5UYPfa8Kw5DNK/RZEG92bajNc1tGOpx6Bzp+fhRr3bb1bgNSjIioQkeWI5cIy0jDojr6asCc/3YHRBmHkxvP0uFnnMLoCXUUOTkrrb\
YZcF4EEHlUGVbsIfo0LTgGabav/i5uLqFgvCFfXo0mbHqr2QXikCgYEA6kcFZ4D/DlhKL6aWt1joFx0JJ3BoBGErNCoEVH6JfWSd5H6EJFDqfo\
QTHhYBQm+lcgwRqx24qx3O9bhtfsJCTFv1JX1vbhjdjQzQurO9qvRDJNs+e+ttH3Osc9OTU2EMqFEK/D4+Pack4bjUg9h496U4eeIy+gY0uKzC\
hjQkIY8CgYEAut3AHTNQe3xV/PbUGaMB8EC8v43AVioMaVxKGOCy0VOq8cEZWZQFx9jbyIQni4IKkzTzw9OYHcEvtck8ZdrsKwClF2Po8rwCgp\
4BOiMyoyq5Lb/T8V9c8YHRsMDB0YkNSMUtWt/SpdUN48MkBFidhUYN4rIueskGXjJMQo13bckCgYAxroH84yQznJGO7VsE4rvFOwkX7gSA+UI6\
O7bTXEo350B8lj/bm7U+wy9yr+PwfNCvENQmX5Ur5JRhE41U1klM/CtOmf0pceh54v/YuAk+2bHrfPsROGnZw6QMpA+YHPqcLyOPPnvggzOVEq\
culpeAnO8PGeMJlotTpn9SCninDQKBgFmKJiMX0onJMz7KWymJpUUlEAxNdQsUjOvzcAHpsWWCTNgYqff1aKuxKuczA+viPQT6i4+bFTm0txLJ\
QWqg8ydL4M+LbTTah+1knrvn37y1nRPh5kGza0rB5ONoCbdIj5f9+1SfCUWzCDvJ5rk6aQhSYBbvQDxPlQCP42DEfqSZAoGBAN1NXtU2+1W1tU\
oet3KWx6cNzniUdzulxzEaZdVtEBXzYx+xgzcUBYQyis1okedPdLWi8ua+KG9ycF7Btk0vXseA5EaoLQuF+sQfTzr7obvjqOTBnsScjIKR0Gz4\
DvQLRfdMpzq66siWoZn1TSwjW9YCtWhOxrdOYe5F0lRZYhvl";

pub const ED25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEANCkKQiSolDvujsWielX9zFU7a8k4IS9Cbh+1772dczY=
-----END PUBLIC KEY-----
";
pub const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7vzxo+PEC9eSo984aOgr8WM/xwml
twEFPJiz9DtWs4KFW9HwsYmOaHpETMI31eefRtUbEb+zBsJaeWltaKKjmQ==
-----END PUBLIC KEY-----
";
pub const RSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqwKJDNsit1ungQ8UmKeL
eo/UBtYGpnTF28JLpVCvJOwHjw+XNMuHLhXS0sPIxoiznRX/MxgkYuPCPA9GTBHC
es5FxcMSiTxY/CZ6LHoYZGqX1Mb6f6CpTqH5Nce6bdLLutWQUgMQRcOzXnsFgtKc
uuJscl2UzuSkEt4UEVeAas2WHhWNHuFSk9ScktVuzcWrXTri4peUumndFw5xjzs3
APUBsVnsG/KG9q1yn1WqXZsJXrVF3maiARLj6C0va24BG2wRdL2JTbwTJ1IIlVlE
/n41bbpAdoBBdvcM86efYWOKv+R4If0Nsm0BfO39s6bmsv0ES9op00ggxx23ryE8
RwIDAQAB
-----END PUBLIC KEY-----
";
pub const RSA_1024_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVP2p6Exh5NF0K+9VPlj2EDtF4
jOtwpClYawP/WWVbBfAWWUbqM0aRglFFJNyNL8+lWn43siwRsEkQtS1R5xorSsDC
ACnjDvSieIJXY3fxNJFHuHTrCASD8DDgDZUpZ09GJQixYm/zWOFyTbELBWqB6qOq
E97Ub0wnNsD9UeKDDwIDAQAB
-----END PUBLIC KEY-----
";
pub const P384_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEn/VFdbcgVDM+jnF/u1Nnxrl4lHtkiLXw
Ii9Su4skgtuKzjOJZViKyHZQkUcsiR06aqaTcXPM+3KH1jIuehX8X9Hs079PRlZo
eulO3Eo1DzAecZ1dFlthJomu7LmS4aoR
-----END PUBLIC KEY-----
";
/// 32 bytes, as a file has them.
pub const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";

/// All four by their names.
pub fn keys() -> KeySet {
    let files = [("ed", ED25519_PUBLIC), ("ec", P256_PUBLIC), ("rsa", RSA_PUBLIC), ("secret", SECRET)];
    KeySet::from_files(files.map(|(kid, text)| (kid.to_owned(), text.to_owned()))).unwrap()
}

/// With which of them the oracle signs by `algorithm`.
pub fn signing(algorithm: Algorithm) -> (&'static str, EncodingKey) {
    let der = |text: &str| STANDARD.decode(text).unwrap();
    match algorithm {
        Algorithm::EdDSA => ("ed", EncodingKey::from_ed_der(&der(ED25519))),
        Algorithm::ES256 => ("ec", EncodingKey::from_ec_der(&der(P256))),
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::PS256 => {
            ("rsa", EncodingKey::from_rsa_der(&der(RSA)))
        }
        _ => ("secret", EncodingKey::from_secret(&der(SECRET)).unwrap()),
    }
}

/// A token that the oracle has signed.
pub fn signed(algorithm: Algorithm, claims: &Value) -> String {
    let (kid, key) = signing(algorithm);
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}
