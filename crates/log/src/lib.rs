//! spina-log
