<?php
// A head of about `size` bytes (12 KiB unless told), which takes more than one record.
$size = (int) ($_GET['size'] ?? 12288);
for ($i = 0; $size > 0; $i++, $size -= 1024) {
    header(sprintf('X-Big-%03d: %s', $i, str_repeat(chr(97 + $i % 26), 1010)));
}
echo 'big head';
