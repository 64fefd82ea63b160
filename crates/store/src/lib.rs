//! spina-store
