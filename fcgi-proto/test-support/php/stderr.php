<?php
// A line to FastCGI's STDERR, and one to the worker's own standard error, which FPM's log gets.
error_log('said through error_log');
file_put_contents('php://stderr', "said on php://stderr\n");
echo 'said on stdout';
for ($left = (int) ($_GET['more'] ?? 0); $left > 0; $left--) {
    error_log(str_repeat('e', 1000));
}
