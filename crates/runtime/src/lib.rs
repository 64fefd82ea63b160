//! spina-runtime
