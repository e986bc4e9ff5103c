<?php
// Exactly `size` bytes; byte i is i modulo 251. With `length=1` the head announces them.
header('Content-Type: application/octet-stream');
$left = (int) ($_GET['size'] ?? 0);
if (isset($_GET['length'])) {
    header('Content-Length: ' . $left);
}
$block = str_repeat(implode('', array_map('chr', range(0, 250))), 256);
while ($left > 0) {
    echo $left < strlen($block) ? substr($block, 0, $left) : $block;
    $left -= strlen($block);
}
