//! Configuration files of `dev/` with `@WORDS@` to fill in.

use anyhow::{Result, bail};

/// Replaces every `@WORD@`; one that is left over is an error, not a broken server.
pub fn fill(template: &str, words: &[(&str, &str)]) -> Result<String> {
    let mut text = template.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("@{word}@"), value);
    }
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    match settings.clone().find(|line| line.contains('@')) {
        Some(line) => bail!("template is not filled in: {line}"),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_word_is_refused() {
        assert_eq!(fill("port=@P@", &[("P", "1")]).unwrap(), "port=1");
        assert!(fill("port=@P@", &[("Q", "1")]).is_err());
    }
}
