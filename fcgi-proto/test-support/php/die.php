<?php
// Announces 1 MiB, sends 64 KiB of it, then kills its own worker. With `head=0` it dies before
// anything was sent, with `length=0` nothing is announced.
if (($_GET['head'] ?? '1') !== '0') {
    header('Content-Type: application/octet-stream');
    if (($_GET['length'] ?? '1') !== '0') {
        header('Content-Length: 1048576');
    }
    echo str_repeat('d', 65536);
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
}
if (function_exists('posix_kill')) {
    posix_kill(getmypid(), 9);
}
exec('kill -9 ' . getmypid());
