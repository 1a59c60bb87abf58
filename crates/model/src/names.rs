//! Which texts are names of forms and properties.

/// Whether it names a form: two or more parts of lower-case letters, digits and `_`, joined by `:`.
pub fn is_form_name(name: &str) -> bool {
    let mut parts = name.split(':');
    parts.next().is_some_and(is_first) && name.contains(':') && parts.all(is_rest)
}

/// Whether it names a universal property, with its leading dot.
pub fn is_univ_name(name: &str) -> bool {
    let Some(name) = name.strip_prefix('.') else {
        return false;
    };
    let mut parts = name.split([':', '.']);
    parts.next().is_some_and(is_first) && parts.all(is_rest)
}

/// Whether it is the name of a property relative to its form.
pub fn is_base_prop_name(name: &str) -> bool {
    name.split([':', '.']).all(is_first)
}

fn is_first(part: &str) -> bool {
    part.bytes().next().is_some_and(|byte| !byte.is_ascii_digit()) && is_rest(part)
}

fn is_rest(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_names() {
        for name in ["inet:ipv4", "_foo:bar", "a:0", "a_1:b:_c"] {
            assert!(is_form_name(name), "{name}");
        }
        for name in ["inet", "Inet:ipv4", "1a:b", "a::b", "a:", ":a", "a:b.c", "a:b-c", ""] {
            assert!(!is_form_name(name), "{name}");
        }
    }

    #[test]
    fn prop_names() {
        assert!(is_univ_name(".seen") && is_univ_name("._my:1x.y"));
        assert!(!is_univ_name("seen") && !is_univ_name(".1") && !is_univ_name(".a:"));
        assert!(is_base_prop_name("a:b.c") && !is_base_prop_name("a:1") && !is_base_prop_name(""));
    }
}
