<?php
// `lines` lines, each flushed, `gap` milliseconds apart.
header('Content-Type: text/plain; charset=utf-8');
header('X-Accel-Buffering: no');
while (ob_get_level() > 0) {
    ob_end_flush();
}
$lines = (int) ($_GET['lines'] ?? 5);
for ($line = 1; $line <= $lines; $line++) {
    if ($line > 1) {
        usleep(1000 * (int) ($_GET['gap'] ?? 100));
    }
    echo "line $line\n";
    flush();
}
