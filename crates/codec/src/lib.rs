//! spina-codec
