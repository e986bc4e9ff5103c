<?php
// The fields and files of a multipart form, as JSON.
$files = [];
foreach ($_FILES as $field => $file) {
    $files[] = [
        'field' => $field,
        'name' => $file['name'],
        'type' => $file['type'],
        'size' => $file['size'],
        'error' => $file['error'],
        'md5' => $file['error'] === UPLOAD_ERR_OK ? md5_file($file['tmp_name']) : null,
    ];
}
header('Content-Type: application/json');
echo json_encode(
    ['fields' => (object) $_POST, 'files' => $files],
    JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE
);
