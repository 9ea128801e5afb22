# A terminal in the guest, with a shell on it, typed at by a script. What is written on it is kept, byte
# for byte, with marks of where it stood at which moment. Sourced by scripts that run in the guest.

terminal=/run/terminal

# terminal_open COLUMNS ROWS [NAME=VALUE]...: a shell on a terminal of this size.
terminal_open() {
    size="$1 $2"; start="stty cols $1 rows $2"; shift 2
    rm -rf $terminal; mkdir $terminal; mkfifo $terminal/keys
    # With standard input that is no terminal, script switches the echo off.
    start="tty > $terminal/tty; $start; exec env TERM=xterm-256color PS1='\$ ' $* bash --norc --noprofile -i"
    script --quiet --flush --echo always --command "$start" /dev/null < $terminal/keys > $terminal/bytes &
    terminal_pid=$!
    exec 9> $terminal/keys
    until [ -s $terminal/bytes ]; do sleep 0.1; done
    mark opened
}

# type KEYS: as printf has them, \r for the enter key.
type() { printf '%b' "$1" >&9; }

# mark NAME: remembers what the screen shows now.
mark() { echo "$1 $(stat -c %s $terminal/bytes) $size" >> $terminal/marks; }

# resize COLUMNS ROWS: as a user does it, in one step for the program, and with SIGWINCH.
resize() {
    size="$1 $2"; mark resized
    stty -F "$(cat $terminal/tty)" cols $1; stty -F "$(cat $terminal/tty)" rows $2
}

# terminal_shows NAME: leaves the shell, or hangs up where it does not go, and prints the section NAME: marks,
# then all bytes in hexadecimal.
terminal_shows() {
    type 'exit\r'; sleep 1; kill -KILL $terminal_pid 2> /dev/null; exec 9>&-; wait $terminal_pid
    mark closed
    echo "== $1"; sed 's/^/mark /' $terminal/marks; od -An -v -tx1 -w32 $terminal/bytes
}
