# What must never be committed, looked for. scripts/check sources it, in the folder that $ROOT names.

# A lock holds pins, hashes and where each came from: no registry, no address, no local file.
locks_hold_pins_only() {
    local line='^(#.*|[a-z0-9][a-z0-9._-]*==[^ ]+( ; [^\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?| +# +(via.*|[a-z].*))$'
    ! grep -nvE "$line" requirements/*.txt && ! grep -n '://' requirements/*.txt &&
        ! git grep -nF '"resolved"' -- '*package-lock.json'
}

# Each role is served by the versions that were tested.
locks_agree() {
    local role
    for role in server courier station; do
        grep -oE '^[a-z0-9._-]+==[^ ]+' "requirements/$role.txt" |
            grep -vxFf <(grep -oE '^[a-z0-9._-]+==[^ ]+' requirements/development.txt) |
            sed "s|^|requirements/$role.txt and development.txt differ: |"
    done | grep . && return 1
    return 0
}

# Nothing names this checkout, the folder around it, or anybody's home folder (but Tails', which is everybody's).
nothing_local() {
    local parent place places='/(home|Users)/[A-Za-z0-9_]'
    parent=$(dirname "$ROOT")
    case $parent in
        / | /tmp | /var/tmp | /srv | /opt | /home | /usr/local | /usr/src) parent='' ;;
    esac
    for place in "$ROOT" "$parent" "${HOME%/}" /root; do
        [[ $place ]] && places+="|${place//./\\.}(/|\$|[\"' ])"
    done
    git grep -nIE "(^|[^A-Za-z0-9._-])($places)" -- ':!scripts/lib/committed.sh' | grep -v '/home/amnesia/' && return 1
    return 0
}

# The places where a key may stand are the tests and the specification's worked examples.
no_key_material() {
    local key='AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20}|BEGIN [A-Z ]*PRIVATE KEY|untrusted comment: .*secret key'
    ! git grep -nIE "$key" -- ':!tests' ':!docs' ':!scripts/lib/committed.sh'
}
