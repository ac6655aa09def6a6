# The line of a sources.list that has the release `release` at `uri`, turned into one of its
# backports suite; options such as the signing key are kept:
#
#     deb [signed-by=KEY] URI bookworm main contrib -> deb [signed-by=KEY] URI bookworm-backports main
#
# Ends with 1 when the file has none.

$1 == "deb" {
    at = 2
    options = ""
    if ($2 ~ /^\[/) {
        while (at < NF && $at !~ /\]$/) options = options $(at++) " "
        options = options $(at++) " "
    }
    place = $at
    sub(/\/$/, "", place)
    if (place == uri && $(at + 1) == release) {
        print "deb " options $at " " release "-backports main"
        found = 1
        exit
    }
}

END { exit !found }
