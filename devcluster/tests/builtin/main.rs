//! The built-in cluster as a whole, on this machine, as root: `make test-cluster` runs these one after the other.

mod broken_off;
mod hands;
mod life;
mod machine;
