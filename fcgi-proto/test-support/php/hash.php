<?php
// What arrived: method, query, and the body's length and MD5, as JSON.
$md5 = hash_init('md5');
$length = 0;
$in = fopen('php://input', 'rb');
while (($part = fread($in, 65536)) !== false && $part !== '') {
    hash_update($md5, $part);
    $length += strlen($part);
}
header('Content-Type: application/json');
echo json_encode([
    'method' => $_SERVER['REQUEST_METHOD'] ?? '',
    'query' => $_SERVER['QUERY_STRING'] ?? '',
    'length' => $length,
    'md5' => hash_final($md5),
], JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES);
