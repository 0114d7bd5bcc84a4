# Sourced by scripts/install and by the Debian package's own scripts: the steps of an installation.
# Each says in a line what it did; with DRY_RUN=yes, what it would do, and nothing is changed.
# Set before: VERSION, MATERIAL (the folder with units and wrapper), PAGE (the one about operating).

PREFIX=/opt/genre-registry
CONFIGURATION=/etc/genre-registry
ENVIRONMENT=$CONFIGURATION/environment
STATE=/var/lib/genre-registry
BACKUPS=/var/backups/genre-registry
UPGRADES=$BACKUPS/before-upgrades
SERVICE_USER=genre-registry
UNITS="genre-registry.service genre-registry-backup.service genre-registry-backup.timer"

EXIT_UNFIT=69
EXIT_NEWER=76

say() {
    if [ "$DRY_RUN" = yes ]; then
        echo "would: $*"
    else
        echo "$*"
    fi
}

# refuse SENTENCE [EXIT CODE]
refuse() {
    echo "genre-registry: $1" >&2
    exit "${2:-1}"
}

# change COMMAND ...: run it, unless this is a dry run.
change() {
    [ "$DRY_RUN" = yes ] || "$@"
}

booted() {
    [ -d /run/systemd/system ]
}

# Everything of the service that this machine has to bring.
check_machine() {
    case $(uname -m) in
    aarch64 | x86_64) ;;
    *) refuse "this machine is $(uname -m); the server runs on 64-bit ARM and x86-64 only. A worker's client runs here." $EXIT_UNFIT ;;
    esac
    python=$(command -v python3) ||
        refuse "Python is missing: sudo apt-get install python3 python3-venv" $EXIT_UNFIT
    "$python" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        refuse "the system on this 64-bit machine is a 32-bit one; the server needs the 64-bit Raspberry Pi OS." $EXIT_UNFIT
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        refuse "$("$python" --version) is too old; the server needs 3.11, as Debian 12 and Raspberry Pi OS bookworm have it." $EXIT_UNFIT
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "Python's venv is missing: sudo apt-get install python3-venv" $EXIT_UNFIT
    command -v systemctl >/dev/null || refuse "this system has no systemd." $EXIT_UNFIT
    say "checked: $(uname -m), $("$python" --version), $(systemctl --version | sed -n 1p)"
}

make_user() {
    if getent passwd $SERVICE_USER >/dev/null; then
        say "user $SERVICE_USER: there already"
        return
    fi
    change useradd --system --user-group --home-dir $STATE --no-create-home \
        --shell /usr/sbin/nologin --comment "Genre registry" $SERVICE_USER
    say "user $SERVICE_USER: made; whoever joins its group may call over the unix socket"
}

make_folders() {
    for folder in $STATE $BACKUPS $UPGRADES; do
        change install -d -o $SERVICE_USER -g $SERVICE_USER -m 0700 $folder
    done
    change install -d -m 0755 $CONFIGURATION
    say "folders: $STATE for the database, $BACKUPS for backups, $CONFIGURATION for settings"
}

# keep_tokens_secret: those that an earlier version made for the service's whole group, which
# others join for the unix socket.
keep_tokens_secret() {
    for token in "$CONFIGURATION"/*.token; do
        if [ -n "$(find "$token" -prune -type f -perm 0640 2>/dev/null)" ]; then
            change chown $SERVICE_USER: "$token"
            change chmod 0600 "$token"
            say "token: $token is from now on for $SERVICE_USER and root alone, no longer for the group"
        fi
    done
}

# write_environment: unless there is one. The service's group reads it too: it holds no secret.
write_environment() {
    if [ -e $ENVIRONMENT ]; then
        say "$ENVIRONMENT: kept as it is"
        return
    fi
    if [ "$DRY_RUN" != yes ]; then
        cp "$MATERIAL/environment" $ENVIRONMENT.new
        chown root:$SERVICE_USER $ENVIRONMENT.new
        chmod 0640 $ENVIRONMENT.new
        mv $ENVIRONMENT.new $ENVIRONMENT
    fi
    say "$ENVIRONMENT: written; the server listens on 127.0.0.1:50051, for this machine alone"
}

# set_in_environment NAME VALUE: replace the line, or add one.
set_in_environment() {
    change sed -i "/^$1=/d" $ENVIRONMENT
    [ "$DRY_RUN" = yes ] || echo "$1=$2" >>$ENVIRONMENT
}

# value_of NAME: what the environment file says, without quotes; nothing when it doesn't.
value_of() {
    if [ -r $ENVIRONMENT ]; then
        sed -n "s/^$1=//p" $ENVIRONMENT | tail -n 1 | tr -d "\"'"
    fi
}

database() {
    given=$(value_of GENRE_REGISTRY_DATABASE)
    echo "${given:-$STATE/registry.db}"
}

# as_service ARGUMENTS: genre-registry of the environment in place, as the service runs it.
as_service() {
    sh "$MATERIAL/genre-registry" "$@"
}

# adopt FILE: copy another registry's database here, as the service's own.
adopt() {
    target=$(database)
    [ -f "$1" ] || refuse "there is no file $1 to adopt."
    if [ -e "$target" ]; then
        refuse "$target is there already, so $1 is not adopted. Nothing is ever overwritten: to take it all the same, stop the service, move $target away, and run this again."
    fi
    [ "$(head -c 15 "$1")" = "SQLite format 3" ] || refuse "$1 is no SQLite database."
    if [ "$DRY_RUN" != yes ]; then
        # SQLite's own copy, which takes along what its write-ahead log holds.
        "$python" - "$1" "$target.adopting" <<'COPY' || refuse "$1 can't be copied; see above."
import sqlite3, sys
from contextlib import closing
from pathlib import Path
original = Path(sys.argv[1]).absolute().as_uri()
with closing(sqlite3.connect(f"{original}?mode=ro", uri=True)) as source:
    with closing(sqlite3.connect(sys.argv[2])) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
COPY
        chown $SERVICE_USER: "$target.adopting"
        chmod 0600 "$target.adopting"
        mv "$target.adopting" "$target"
        sync -f "$target"
    fi
    say "adopted: $1 was copied to $target; the original is left alone and no longer used"
}

# build_environment FOLDER PIP_ARGUMENTS: beside the one in use, so that this may fail.
build_environment() {
    building=$1
    shift
    say "installing into $PREFIX (a few minutes on a Pi) ..."
    [ "$DRY_RUN" = yes ] && return
    rm -rf "$building"
    "$python" -m venv "$building"
    if ! "$building/bin/python" -m pip install -qq --disable-pip-version-check --no-cache-dir "$@"; then
        rm -rf "$building"
        refuse "installing failed, as said above; nothing was changed."
    fi
    # It moves to $PREFIX afterwards; only the commands' first lines name a folder.
    find "$building/bin" -type f -exec sed -i "1s|^#!$building/|#!$PREFIX/|" {} +
    printf '%s\n' "$VERSION" >"$building/version"
    cp "$PAGE" "$building/OPERATING.md"
}

installed_version() {
    cat $PREFIX/version 2>/dev/null || true
}

stop_service() {
    if booted && systemctl --quiet is-active genre-registry.service; then
        change systemctl stop genre-registry.service
        say "service: stopped for the upgrade; callers wait for it"
    fi
}

# back_up_first: what is there, by the version that wrote it; sets $backup. The service is stopped,
# so nothing that is written later is missing from it.
back_up_first() {
    backup=
    if [ ! -e "$(database)" ] || [ ! -x $PREFIX/bin/genre-registry ]; then
        return
    fi
    name=registry-$(date -u +%Y%m%dT%H%M%SZ)-of-$(installed_version).db
    if [ "$DRY_RUN" != yes ]; then
        if ! as_service backup $UPGRADES/$name >/dev/null; then
            start_service
            refuse "the backup before the upgrade failed, as said above; nothing was changed."
        fi
    fi
    backup=$UPGRADES/$name
    say "backup: $backup"
}

# put_in_place FOLDER: the new environment becomes the one in use; the old one waits beside it.
put_in_place() {
    change rm -rf $PREFIX.before
    if [ -e $PREFIX ]; then
        change mv $PREFIX $PREFIX.before
    fi
    change mv "$1" $PREFIX
}

# take_back: the old environment is in use again.
take_back() {
    rm -rf $PREFIX
    if [ -e $PREFIX.before ]; then
        mv $PREFIX.before $PREFIX
        start_service
    fi
}

# try_database AGAIN: bring the database to this version, or refuse in words. AGAIN is the command
# that installs this version, for people to copy.
try_database() {
    [ "$DRY_RUN" = yes ] && return
    [ -e "$(database)" ] || return 0
    code=0
    said=$(as_service migrate 2>&1) || code=$?
    if [ $code = 0 ]; then
        say "database: $(database), brought to this version"
        return
    fi
    older=
    if [ $code = $EXIT_NEWER ]; then
        older=$(backup_for_this_version)
    fi
    if [ -n "$adopted" ]; then
        rm -f "$(database)"
    fi
    take_back
    echo "$said" >&2
    [ $code = $EXIT_NEWER ] || refuse "the database can't be used by version $VERSION, as said above; what was installed before is in use again.${backup:+ A backup of it: $backup}" $code
    echo "genre-registry: version $VERSION is older than the database, so the downgrade is refused; what was installed before is in use again." >&2
    echo "The database as it is now was backed up: ${backup:-no, for no version was installed that could}" >&2
    if [ -n "$older" ]; then
        echo "To go back to $VERSION with the last backup that it can read (what was changed since is then missing;" >&2
        echo "the present database is set aside, not deleted):" >&2
        echo "  sudo env RESTORE=$older $1" >&2
    else
        echo "No backup in $UPGRADES can be read by $VERSION. With one from elsewhere:" >&2
        echo "  sudo env RESTORE=/path/to/backup.db $1" >&2
    fi
    exit $EXIT_NEWER
}

# The newest backup that the environment in place can read; nothing when there is none.
backup_for_this_version() {
    for found in $(ls -t $UPGRADES/*.db $BACKUPS/*.db 2>/dev/null); do
        code=0
        as_service check --database "$found" >/dev/null 2>&1 || code=$?
        if [ $code = 0 ]; then
            echo "$found"
            return
        fi
    done
}

# restore FILE: into the database's place, by the environment in place; what is there is set aside.
restore() {
    target=$(database)
    aside=$target.set-aside-$(date -u +%Y%m%dT%H%M%SZ)
    for suffix in "" -wal -shm; do
        if [ -e "$target$suffix" ]; then
            change mv "$target$suffix" "$aside$suffix"
        fi
    done
    change as_service restore "$1" || refuse "restoring failed, as said above; the database that was there is $aside"
    say "restored: $1; the database that was there is $aside"
}

start_service() {
    if ! booted; then
        say "service: systemd does not run here, so it starts with the next boot"
        return
    fi
    change systemctl daemon-reload
    if ! change systemctl restart genre-registry.service; then
        journalctl --quiet --no-pager --lines 5 --output cat --unit genre-registry.service >&2 || true
        refuse "the service does not start; its last lines are above. All of them: sudo journalctl -u genre-registry${backup:+. The backup taken before: $backup}"
    fi
    say "service: running, and ready for callers"
}

# enable_units: the first time; later it is for people to say.
enable_units() {
    [ -z "$before" ] || return 0
    change systemctl --quiet enable genre-registry.service genre-registry-backup.timer
    if booted; then
        change systemctl --quiet start genre-registry-backup.timer
    fi
    say "units: they start with the machine; a backup every night"
}

# remove_service PURGE: what the steps above made; the data only if PURGE is yes.
remove_service() {
    change rm -rf $PREFIX $PREFIX.new $PREFIX.before
    say "removed: $PREFIX"
    if [ "$1" = yes ]; then
        change rm -rf $STATE $BACKUPS $CONFIGURATION /run/genre-registry
        if getent passwd $SERVICE_USER >/dev/null; then
            change userdel $SERVICE_USER
        fi
        say "removed for good: $STATE, $BACKUPS, $CONFIGURATION, the user $SERVICE_USER"
    else
        say "kept: $STATE (the database), $BACKUPS, $CONFIGURATION, the user $SERVICE_USER"
    fi
}

# upgrade_or_install AGAIN PIP_ARGUMENTS: from a checked machine with user and folders to a running
# service. AGAIN is the command that does it again.
upgrade_or_install() {
    again=$1
    shift
    before=$(installed_version)
    keep_tokens_secret
    build_environment $PREFIX.new "$@"
    stop_service
    back_up_first
    put_in_place $PREFIX.new
    if [ -n "$RESTORE" ]; then
        restore "$RESTORE"
    fi
    if [ -n "$adopted" ]; then
        adopt "$adopted"
    fi
    try_database "$again"
    change rm -rf $PREFIX.before
    say "version: $VERSION${before:+ (before: $before)}"
}

# farewell: what a person may do next.
farewell() {
    say "look at it:  sudo genre-registry check  |  genrectl list  |  systemctl status genre-registry"
    say "what to do when something goes wrong: $PREFIX/OPERATING.md"
}

# is_beyond LISTEN: whether other machines reach it.
is_beyond() {
    case $1 in
    "" | unix:* | 127.* | localhost:* | "[::1]:"*) return 1 ;;
    esac
}

# check_listening LISTEN: what it takes, before anything is done.
check_listening() {
    if is_beyond "$1" && ! command -v openssl >/dev/null; then
        refuse "certificates for $1 take openssl: sudo apt-get install openssl" $EXIT_UNFIT
    fi
}

# listen_on LISTEN: from the next start on; beyond this machine with what that needs, unless it is
# there: an authority and a certificate, and tokens. Each token is made once.
listen_on() {
    [ -n "$1" ] || return 0
    if is_beyond "$1"; then
        make_certificates
        make_tokens
    fi
    if [ "$1" != "$(value_of GENRE_REGISTRY_LISTEN)" ]; then
        set_in_environment GENRE_REGISTRY_LISTEN "$1"
        say "$ENVIRONMENT: the server listens on $1 from now on"
    fi
}

make_certificates() {
    tls=$STATE/tls
    [ -z "$(value_of GENRE_REGISTRY_TLS_CERTIFICATE)" ] || return 0
    hosts="--host localhost --host 127.0.0.1 --host $(uname -n) --host $(uname -n).local"
    for address in $(hostname -I 2>/dev/null); do
        hosts="$hosts --host $address"
    done
    # shellcheck disable=SC2086 # each host is a word of its own
    change as_service tls init --directory $tls $hosts >/dev/null || refuse "no certificates were made; see above."
    set_in_environment GENRE_REGISTRY_TLS_CERTIFICATE $tls/server.pem
    set_in_environment GENRE_REGISTRY_TLS_KEY $tls/server.key
    set_in_environment GENRE_REGISTRY_CA $tls/authority.pem
    say "certificates: made for $(echo "$hosts" | sed 's/--host //g'); callers need $tls/authority.pem"
}

make_tokens() {
    [ ! -e $STATE/tokens.json ] || return 0
    new_token operator operator $CONFIGURATION/operator.token
    set_in_environment GENRE_REGISTRY_TOKEN_FILE $CONFIGURATION/operator.token
    say "token: $CONFIGURATION/operator.token, an operator's, for backups and sudo genre-registry"
    new_token worker-1 worker $CONFIGURATION/worker-1.token
    say "token: $CONFIGURATION/worker-1.token, for the first worker on another machine: move it there, with the authority's certificate"
}

# new_token NAME ROLE FILE: which root and the service's user read, and not its group.
new_token() {
    [ "$DRY_RUN" = yes ] && return
    (umask 0177 && as_service token new --name "$1" --role "$2" >"$3" 2>/dev/null) ||
        refuse "no token was made for $1: $(as_service token list 2>&1 | tail -n 1)"
    chown $SERVICE_USER: "$3"
}

# farewell: what a person may do next.
farewell() {
    say "look at it:  sudo genre-registry check  |  genrectl list  |  systemctl status genre-registry"
    say "what to do when something goes wrong: $PREFIX/OPERATING.md"
}
