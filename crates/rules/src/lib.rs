//! spina-rules
