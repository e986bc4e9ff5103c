<?php
// $_SERVER as one JSON object. A string that is not UTF-8 becomes {"hex": "..."}, such a name
// "hex:...", so that any byte comes through.
$env = [];
foreach ($_SERVER as $name => $value) {
    if (!is_utf8((string) $name)) {
        $name = 'hex:' . bin2hex($name);
    }
    $env[$name] = is_string($value) && !is_utf8($value) ? ['hex' => bin2hex($value)] : $value;
}
header('Content-Type: application/json');
echo json_encode($env, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_FORCE_OBJECT | JSON_INVALID_UTF8_SUBSTITUTE);

// mbstring is a package of its own on Debian; the pattern engine is always there.
function is_utf8(string $bytes): bool
{
    return preg_match('//u', $bytes) === 1;
}
