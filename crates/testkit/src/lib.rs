//! spina-testkit
