<?php
// Sleeps `ms` milliseconds, then says so. With `first=1` a line is sent before the sleep, and
// with `log=1` one of error output before that.
$ms = (int) ($_GET['ms'] ?? 1000);
if (isset($_GET['log'])) {
    error_log('about to sleep');
}
if (isset($_GET['first'])) {
    echo "first\n";
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
}
// A signal ends a sleep early, as that of a php-fpm that is asked to stop.
$end = microtime(true) + $ms / 1000;
while (($left = $end - microtime(true)) > 0) {
    usleep((int) ceil($left * 1e6));
}
echo "slept $ms";
