<?php
// Sends `mib` MiB of `a` before it reads a byte of the body, then a line about the body.
// PHP itself reads forms before a script runs, so send another content type.
header('Content-Type: application/octet-stream');
$block = str_repeat('a', 65536);
for ($left = 16 * (int) ($_GET['mib'] ?? 1); $left > 0; $left--) {
    echo $block;
}
while (ob_get_level() > 0) {
    ob_end_flush();
}
flush();
$md5 = hash_init('md5');
$length = 0;
$in = fopen('php://input', 'rb');
while (($part = fread($in, 65536)) !== false && $part !== '') {
    hash_update($md5, $part);
    $length += strlen($part);
}
echo "\nread $length ", hash_final($md5), "\n";
