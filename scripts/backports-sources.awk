# The stanza of a .sources file that has the release `release` at `uri`, turned into one of its
# backports suite; all other fields are kept. Ends with 1 when the file has none.

function finish() {
    if (!found && is_deb && has_release && has_uri && !disabled) {
        printf "%s", stanza
        found = 1
    }
    stanza = ""
    is_deb = has_release = has_uri = disabled = 0
}

function names(word,    i) {
    for (i = 2; i <= NF; i++) {
        sub(/\/$/, "", $i)
        if ($i == word) return 1
    }
    return 0
}

/^#/ { next }
/^[ \t]*$/ { finish(); next }

# A line that goes on (a key inside of Signed-By) belongs to the field before it.
/^[ \t]/ {
    if (field !~ /^(types|suites|components)$/) stanza = stanza $0 "\n"
    next
}

{
    line = $0
    field = tolower($1)
    sub(/:.*/, "", field)
    if (field == "types") {
        is_deb = names("deb")
        line = "Types: deb"
    } else if (field == "uris") {
        has_uri = names(uri)
    } else if (field == "suites") {
        has_release = names(release)
        line = "Suites: " release "-backports"
    } else if (field == "components") {
        line = "Components: main"
    } else if (field == "enabled") {
        disabled = tolower($2) ~ /^(no|false|without|off|disable)$/
    }
    stanza = stanza line "\n"
}

END {
    finish()
    exit !found
}
