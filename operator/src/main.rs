//! The program `chatd-operator`. Does I/O: it reads the command line and prints, and runs the operator.

fn main() {
    print!("{}", operator::api::crd_yaml());
}
